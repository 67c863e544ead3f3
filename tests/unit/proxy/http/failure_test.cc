// What happens when something is wrong or missing: local replies, their flags, retries, peers that go away.
#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

using model::StringMatch;

struct FailureTest : Rig {
  model::Route& route() { return snapshot.route_tables[0].hosts[0].routes[0]; }
  std::string ask(std::string_view request) {
    say(connect_client(), request);
    return clients.back()->take();
  }
  // For the only route, a path that nothing else matches.
  void only(std::string path) { route().matches = {{.uri = {{StringMatch::Kind::kExact, std::move(path)}}}}; }
};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: svc\r\n\r\n";
constexpr std::string_view kPost = "POST /a HTTP/1.1\r\nHost: svc\r\nContent-Length: 2\r\n\r\nhi";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

base::Error refused() {
  return {base::ErrorKind::kSystem, base::Side::kDestination, ECONNREFUSED, "connect"};
}

TEST_F(FailureTest, no_route_is_404_with_flag_nr_and_the_connection_stays) {
  only("/b");
  auto& client = connect_client();
  for (int i = 0; i < 2; ++i) {
    say(client, kGet);
    EXPECT_EQ(client.take(), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  }
  EXPECT_TRUE(has(logged(), "\"GET /a HTTP/1.1\" 404 NR route_not_found"));
  EXPECT_EQ(metrics.counters.http_local_replies, 2u);
}

TEST_F(FailureTest, an_unknown_cluster_is_503_nc) {
  route().clusters = {{model::kNone, 1, "outbound|8888|v9|svc"}};
  EXPECT_TRUE(ask(kGet).starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  const auto line = logged();
  EXPECT_TRUE(has(line, " 503 NC cluster_not_found")) << line;
  EXPECT_TRUE(has(line, "outbound|8888|v9|svc")) << line;
}

TEST_F(FailureTest, a_cluster_without_endpoints_is_503_uh_for_its_share_only) {
  const uint32_t empty = add_cluster("v2", {});
  route().clusters = {{0, 50, "v1"}, {empty, 50, "v2"}};
  auto& client = connect_client();
  int unhealthy = 0;
  for (int i = 0; i < 20; ++i) {
    say(client, kGet);
    if (has(client.take(), "no healthy upstream")) {
      ++unhealthy;
      continue;
    }
    auto& server = accepted.empty() ? accept(1001) : *accepted[0];
    say(server, kOk);
    EXPECT_TRUE(has(client.take(), "200 OK"));
  }
  EXPECT_NEAR(unhealthy, 10, 2);
  EXPECT_TRUE(has(logged(), " 503 UH no_healthy_upstream"));
}

TEST_F(FailureTest, a_grpc_caller_gets_200_with_a_status_in_the_headers) {
  only("/b");
  const auto got =
      ask("POST /x HTTP/1.1\r\nHost: s\r\nContent-Type: application/grpc+proto\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
  EXPECT_TRUE(has(got, "grpc-status: 12\r\n")) << got;
  EXPECT_TRUE(has(got, "content-type: application/grpc\r\n")) << got;
}

TEST_F(FailureTest, malformed_requests_are_answered_recorded_and_closed) {
  auto& client = connect_client();
  say(client, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.take(),
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 11\r\nconnection: "
            "close\r\n\r\nBad Request");
  EXPECT_TRUE(client.at_end());
  EXPECT_TRUE(has(logged(), " 400 DPE http1.host_missing"));
  EXPECT_EQ(metrics.counters.http_bad_requests, 1u);
  EXPECT_TRUE(has(ask("BREW / HTTP/1.1\r\nHost: s\r\n\r\n"), "501 Not Implemented"));
  EXPECT_TRUE(has(ask("GET /" + std::string(70'000, 'x')), "431 Request Header"));
}

TEST_F(FailureTest, connect_is_refused) {
  EXPECT_TRUE(has(ask("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n"), "403 Forbidden"));
  EXPECT_TRUE(dialer.dialled.empty());
}

TEST_F(FailureTest, paths_that_cannot_be_canonical_are_refused) {
  for (const auto* path : {"/%00", "/a#b"})
    EXPECT_TRUE(has(ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: s\r\n\r\n"), "400 Bad Request"))
        << path;
}

TEST_F(FailureTest, a_refused_connection_is_tried_at_another_endpoint_once_then_503_uf) {
  snapshot.clusters[0].endpoints.push_back({.address = {*base::Address::parse("10.1.0.1"), 1002}});
  snapshot.clusters[0].endpoints.push_back({.address = {*base::Address::parse("10.1.0.1"), 1003}});
  for (const uint16_t port : {1001, 1002, 1003}) dialer.refuse[port] = refused();
  const auto got = ask(kGet);
  EXPECT_TRUE(has(got, "503 Service Unavailable") && has(got, "reset reason: connection failure")) << got;
  ASSERT_EQ(dialer.dialled.size(), 2u);
  EXPECT_NE(dialer.dialled[0].destination.port, dialer.dialled[1].destination.port);
  const auto line = logged();
  EXPECT_TRUE(has(line, " 503 UF upstream_reset_before_response_started")) << line;
  EXPECT_TRUE(has(line, "\"Connection refused\"")) << line;
}

TEST_F(FailureTest, the_other_endpoint_answers_when_one_refuses) {
  snapshot.clusters[0].endpoints.push_back({.address = {*base::Address::parse("10.1.0.1"), 1002}});
  dialer.refuse[1001] = refused();
  for (int i = 0; i < 8; ++i) {
    auto& client = connect_client();
    say(client, kPost);
    auto& server = waiting(1002) > 0 ? accept(1002) : *accepted.back();
    EXPECT_TRUE(server.take().ends_with("\r\n\r\nhi"));
    say(server, kOk);
    EXPECT_TRUE(has(client.take(), "200 OK"));
  }
}

TEST_F(FailureTest, no_socket_in_stock_is_an_overflow) {
  dialer.refuse[1001] = {base::ErrorKind::kLimit, base::Side::kSelf, 0, "no socket in stock"};
  EXPECT_TRUE(has(ask(kGet), "x-envoy-overloaded: true\r\n"));
  EXPECT_TRUE(has(logged(), " 503 UO "));
}

TEST_F(FailureTest, the_bound_on_connections_is_an_overflow_too) {
  limits.connections_per_destination = 1;
  say(connect_client(), kGet);
  EXPECT_TRUE(has(ask(kGet), "503 Service Unavailable"));
  EXPECT_TRUE(has(logged(), " 503 UO "));
  EXPECT_EQ(metrics.counters.http_pool_overflow, 1u);
}

TEST_F(FailureTest, a_destination_that_closes_before_it_answers_is_503_uc) {
  auto& client = connect_client();
  say(client, kGet);
  accept(1001);
  accepted.clear();
  turn();
  EXPECT_TRUE(has(client.take(), "reset reason: connection termination"));
  EXPECT_TRUE(has(logged(), " 503 UC "));
  EXPECT_EQ(dialer.dialled.size(), 1u) << "a fresh connection that saw the request is not tried again";
}

// Makes one pooled connection whose destination will close as soon as the next request arrives.
struct StaleTest : FailureTest {
  test::PairEnd& used() {
    auto& client = connect_client();
    say(client, kGet);
    server = &accept(1001);
    say(*server, kOk);
    client.take();
    server->take();
    return client;
  }
  void close_under_request() {
    server->take();
    server->shutdown_write();
    turn();
  }
  test::PairEnd* server = nullptr;
};

TEST_F(StaleTest, a_get_on_a_reused_connection_that_closes_is_asked_again_on_a_new_one) {
  auto& client = used();
  say(client, kGet);
  close_under_request();
  EXPECT_EQ(client.take(), "");
  ASSERT_EQ(waiting(1001), 1u);
  auto& second = accept(1001);
  EXPECT_TRUE(has(second.take(), "GET /a"));
  say(second, kOk);
  EXPECT_EQ(client.take(), kOk);
  EXPECT_EQ(metrics.counters.http_retries, 1u);
}

TEST_F(StaleTest, a_post_that_may_have_been_seen_is_never_sent_twice) {
  auto& client = used();
  say(client, kPost);
  close_under_request();
  EXPECT_EQ(waiting(1001), 0u);
  EXPECT_TRUE(has(client.take(), "503 Service Unavailable"));
  EXPECT_TRUE(has(logged(), " 503 UC "));
}

TEST_F(StaleTest, an_idle_connection_that_closed_is_not_used) {
  auto& client = used();
  server->shutdown_write();
  turn();
  say(client, kPost);
  ASSERT_EQ(waiting(1001), 1u);
  auto& second = accept(1001);
  say(second, kOk);
  EXPECT_EQ(client.take(), kOk);
}

TEST_F(StaleTest, bytes_on_an_idle_connection_end_it) {
  used();
  say(*server, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  EXPECT_TRUE(server->at_end());
  EXPECT_EQ(metrics.counters.http_destination_protocol_errors, 1u);
}

TEST_F(StaleTest, idle_connections_go_after_their_time) {
  used();
  clock.advance(base::Millis(11 * 60 * 1000));
  turn();
  EXPECT_TRUE(server->at_end());
}

TEST_F(FailureTest, a_broken_response_is_502_upe) {
  auto& client = connect_client();
  say(client, kGet);
  say(accept(1001), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
  EXPECT_TRUE(has(client.take(), "502 Bad Gateway"));
  EXPECT_TRUE(has(logged(), " 502 UPE "));
}

TEST_F(FailureTest, a_response_cut_in_its_middle_cuts_the_client) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept(1001);
  say(server, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  accepted.clear();
  turn();
  EXPECT_TRUE(client.was_reset()) << "a client must not take half a body for the whole";
  EXPECT_TRUE(has(logged(), " 200 UC "));
}

TEST_F(FailureTest, a_client_that_goes_away_stops_the_request) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept(1001);
  server.take();
  client.shutdown_write();
  turn();
  EXPECT_TRUE(server.at_end());
  EXPECT_TRUE(connections.empty());
  EXPECT_TRUE(has(logged(), " 0 DC "));
}

TEST_F(FailureTest, a_client_that_goes_away_while_the_dial_is_under_way_cancels_it) {
  dialer.hold = true;
  auto& client = connect_client();
  say(client, kGet);
  clients.clear();
  turn();
  dialer.hold = false;
  turn();
  EXPECT_EQ(waiting(1001), 0u);
  EXPECT_TRUE(has(logged(), " 0 DC "));
  static_cast<void>(client);
}

TEST_F(FailureTest, a_broken_request_body_is_400_and_the_destination_is_cut) {
  auto& client = connect_client();
  say(client, "POST /a HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  auto& server = accept(1001);
  server.take();
  say(client, "zz\r\n");
  EXPECT_TRUE(has(client.take(), "400 Bad Request"));
  EXPECT_TRUE(server.at_end());
  EXPECT_TRUE(has(logged(), " 400 DPE http1.chunked_body"));
}

TEST_F(FailureTest, a_head_that_does_not_come_is_408) {
  auto& client = connect_client();
  say(client, "GET / HT");
  for (int i = 0; i < 6; ++i) {
    clock.advance(base::Millis(15'000));
    turn();
  }
  EXPECT_TRUE(has(client.take(), "408 Request Timeout"));
}

TEST_F(FailureTest, an_idle_client_is_closed_after_an_hour) {
  auto& client = connect_client();
  for (int i = 0; i < 59 * 4; ++i) {
    clock.advance(base::Millis(15'000));
    turn();
  }
  EXPECT_FALSE(client.at_end());
  for (int i = 0; i < 10; ++i) {
    clock.advance(base::Millis(15'000));
    turn();
  }
  EXPECT_TRUE(client.at_end());
}

TEST_F(FailureTest, an_idle_connection_in_drain_is_closed_behind_its_next_answer_or_when_patience_ends) {
  auto& asks = connect_client();
  auto& silent = connect_client();
  for (auto& connection : std::vector<ServerConnection*>{connections[0].get(), connections[1].get()})
    connection->drain(base::Millis(5'000));
  turn();
  EXPECT_FALSE(asks.at_end());
  say(asks, kGet);
  say(accept(1001), kOk);
  const auto answer = asks.take();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n") && has(answer, "connection: close\r\n")) << answer;
  EXPECT_TRUE(asks.at_end());
  clock.advance(base::Millis(4'900));
  turn();
  EXPECT_FALSE(silent.at_end());
  clock.advance(base::Millis(200));
  turn();
  EXPECT_TRUE(silent.at_end());
}

TEST_F(FailureTest, draining_answers_what_runs_and_closes) {
  auto& client = connect_client();
  auto& idle = connect_client();
  say(client, kGet);
  for (auto& connection : std::vector<ServerConnection*>{connections[0].get(), connections[1].get()})
    connection->drain({});
  turn();
  EXPECT_TRUE(idle.at_end());
  say(accept(1001), kOk);
  EXPECT_TRUE(has(client.take(), "connection: close\r\n"));
  EXPECT_TRUE(client.at_end());
}

TEST_F(FailureTest, aborting_resets_and_records) {
  auto& client = connect_client();
  say(client, kGet);
  connections[0]->abort();
  turn();
  EXPECT_TRUE(client.was_reset());
  EXPECT_TRUE(has(logged(), " 0 LR "));
}

TEST_F(FailureTest, a_new_configuration_counts_from_the_next_request_on) {
  auto& client = connect_client();
  say(client, kGet);
  only("/b");
  configure();
  connections[0]->reconfigure(current_info, tables);
  say(accept(1001), kOk);
  EXPECT_EQ(client.take(), kOk) << "the running one ends by what it began with";
  say(client, kGet);
  EXPECT_TRUE(has(client.take(), "404 Not Found"));
}

}  // namespace
}  // namespace weft::http
