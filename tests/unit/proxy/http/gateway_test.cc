// The seed's rows through a gateway (httpgo 4.1), and the header rules of the edge.
#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

struct GatewayTest : Rig {
  GatewayTest() {
    info.kind = listen::Kind::kGateway;
    info.pod.clear();
    auto& route = snapshot.route_tables[0].hosts[0].routes[0];
    const uint32_t v2 = add_cluster("v2", {1002});
    route.matches = {{.uri = {{model::StringMatch::Kind::kExact, "/httpgo"}}}};
    route.clusters = {{0, 50, "v1"}, {v2, 50, "v2"}};
  }
  // What the gateway answers to a request for which either destination would say 200; `seen` is what that one
  // got.
  std::string ask(std::string_view request) {
    auto& client = connect_client();
    client.send(request);
    for (int i = 0; i < 3; ++i) {
      turn();
      serve();
    }
    return client.take();
  }
  void serve() {
    for (const uint16_t port : {1001, 1002})
      while (waiting(port) > 0) accept(port);
    for (auto& server : accepted) {
      auto got = server->take();
      if (got.empty()) continue;
      seen = std::move(got);
      say(*server, seen.starts_with("HEAD")
                       ? "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\n"
                       : "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\nhi");
    }
  }
  std::string get(std::string_view path, std::string_view extra = {}) {
    return ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: 192.0.2.7:31380\r\n" + std::string(extra) +
               "\r\n");
  }
  std::string seen;
};

constexpr std::string_view kTwoHundred = "HTTP/1.1 200 OK\r\n", kNotFound = "HTTP/1.1 404 Not Found\r\n";

TEST_F(GatewayTest, an_exact_match_is_exact_and_the_query_takes_no_part) {
  EXPECT_TRUE(get("/httpgo").starts_with(kTwoHundred));
  EXPECT_TRUE(get("/httpgo?x=1").starts_with(kTwoHundred));
  EXPECT_TRUE(seen.starts_with("GET /httpgo?x=1 HTTP/1.1\r\n"));
  for (const auto* path : {"/httpgo/", "/httpgo/payload", "/httpgo2", "/", "/healthz", "/HTTPGO", "//httpgo"})
    EXPECT_TRUE(get(path).starts_with(kNotFound)) << path;
}

TEST_F(GatewayTest, any_method_is_forwarded) {
  for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    EXPECT_TRUE(
        ask(method + " /httpgo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").starts_with(kTwoHundred));
    EXPECT_TRUE(seen.starts_with(method + " /httpgo")) << seen;
  }
  EXPECT_TRUE(ask("HEAD /httpgo HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(seen.starts_with("HEAD /httpgo"));
}

TEST_F(GatewayTest, dot_segments_go_before_matching_and_the_normal_path_is_forwarded) {
  for (const auto* path : {"/x/../httpgo", "/./httpgo", "/%68ttpgo", "/x\\..\\httpgo", "/%2e/httpgo"}) {
    EXPECT_TRUE(get(std::string(path) + "?a=/../b").starts_with(kTwoHundred)) << path;
    EXPECT_TRUE(seen.starts_with("GET /httpgo?a=/../b HTTP/1.1\r\n")) << seen;
  }
}

TEST_F(GatewayTest, any_host_will_do_but_http_1_1_needs_one) {
  for (const auto* host : {"a.b.c", "10.0.0.1:31380", "[fd00::1]:80", "HTTPGO"})
    EXPECT_TRUE(
        ask("GET /httpgo HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n").starts_with(kTwoHundred))
        << host;
  EXPECT_TRUE(has(ask("GET /httpgo HTTP/1.1\r\n\r\n"), "400 Bad Request"));
  EXPECT_TRUE(ask("GET /httpgo HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 OK\r\n"));
}

TEST_F(GatewayTest, each_request_of_a_kept_connection_is_decided_on_its_own_and_the_split_is_fair) {
  auto& client = connect_client();
  for (int i = 0; i < 200; ++i) {
    client.send("GET /httpgo HTTP/1.1\r\nHost: a\r\n\r\n");
    turn();
    serve();
    EXPECT_TRUE(client.take().starts_with(kTwoHundred));
  }
  const auto log_lines = logged();
  size_t v1 = 0;
  for (size_t at = log_lines.find(" v1 "); at != std::string::npos; at = log_lines.find(" v1 ", at + 1)) ++v1;
  EXPECT_NEAR(static_cast<double>(v1), 100, 4);
}

TEST_F(GatewayTest, the_edge_names_the_peer_and_trusts_no_claim_of_the_client) {
  get("/httpgo",
      "X-Request-Id: mine\r\nX-Forwarded-Proto: https\r\nX-Envoy-External-Address: "
      "1.1.1.1\r\nx-envoy-max-retries: 9\r\n"
      "X-Envoy-Original-Path: /x\r\n");
  EXPECT_TRUE(has(seen, "x-forwarded-for: 10.0.0.9\r\n")) << seen;
  EXPECT_TRUE(has(seen, "x-forwarded-proto: http\r\n")) << seen;
  EXPECT_TRUE(has(seen, "x-envoy-external-address: 10.0.0.9\r\n")) << seen;
  EXPECT_TRUE(has(seen, "x-request-id: ")) << seen;
  for (const auto* gone : {"mine", "https", "1.1.1.1", "retries", "Original"})
    EXPECT_FALSE(has(seen, gone)) << seen;
}

TEST_F(GatewayTest, the_peer_is_appended_to_x_forwarded_for) {
  get("/httpgo", "X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8, 9.9.9.9\r\n");
  EXPECT_TRUE(has(seen, "x-forwarded-for: 1.2.3.4, 5.6.7.8, 9.9.9.9, 10.0.0.9\r\n")) << seen;
  EXPECT_TRUE(has(logged(), "\"1.2.3.4, 5.6.7.8, 9.9.9.9, 10.0.0.9\""));
}

TEST_F(GatewayTest, request_ids_are_uuids_and_differ) {
  get("/httpgo");
  const auto id = [&] { return seen.substr(seen.find("x-request-id: ") + 14, 36); };
  const auto first = id();
  get("/httpgo");
  EXPECT_NE(first, id());
  EXPECT_EQ(first[8], '-');
  EXPECT_EQ(first[14], '4');
  EXPECT_TRUE(std::string_view("89ab").contains(first[19])) << first;
}

TEST_F(GatewayTest, responses_carry_our_name_and_the_time_they_took) {
  const auto got = get("/httpgo");
  EXPECT_TRUE(has(got, "server: weft\r\n")) << got;
  EXPECT_FALSE(has(got, "app")) << got;
  EXPECT_TRUE(has(got, "x-envoy-upstream-service-time: 0\r\n")) << got;
}

struct MeshTest : Rig {};

TEST_F(MeshTest, in_the_mesh_forwarding_fields_are_left_alone) {
  auto& client = connect_client();
  say(client,
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: mine\r\nX-Forwarded-Proto: "
      "https\r\n\r\n");
  auto& server = accept(1001);
  EXPECT_EQ(server.take(),
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: "
            "mine\r\nX-Forwarded-Proto: https\r\n\r\n");
  say(server, "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.take(), "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(has(logged(), "\"mine\""));
}

TEST_F(MeshTest, an_inbound_request_is_delivered_with_the_address_of_its_client) {
  info.kind = listen::Kind::kInbound;
  info.route_table = model::kNone;
  info.original = *base::SocketAddress::parse("10.1.0.5:8888");
  say(connect_client(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(dialer.dialled.size(), 1u);
  EXPECT_EQ(dialer.dialled[0].destination.to_string(), "10.1.0.5:8888");
  ASSERT_TRUE(dialer.dialled[0].client);
  EXPECT_EQ(dialer.dialled[0].client->to_string(), "10.0.0.9:0");
}

TEST_F(MeshTest, pods_do_not_share_connections) {
  say(connect_client(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  say(accept(1001), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  info.pod = "dev/other";
  say(connect_client(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(dialer.dialled.size(), 2u);
  EXPECT_EQ(dialer.dialled[1].pod, "dev/other");
}

}  // namespace
}  // namespace weft::http
