// One HTTP/1 client, HTTP/1 destinations: what is carried and how it is framed.
#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

struct H1Test : Rig {
  // Sends a request, has endpoint 1001 answer it, returns what the client got.
  std::string answer(test::PairEnd& client, std::string_view request, std::string_view response) {
    say(client, request);
    if (server == nullptr || waiting(1001) > 0) server = &accept(1001);
    seen = server->take();
    say(*server, response);
    return client.take();
  }
  test::PairEnd* server = nullptr;
  std::string seen;
};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: svc\r\nX-Thing: One\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Back: Yes\r\n\r\nhi";

TEST_F(H1Test, a_request_goes_out_and_its_response_comes_back_with_spelling_and_order_kept) {
  auto& client = connect_client();
  EXPECT_EQ(answer(client, kGet, kOk), kOk);
  EXPECT_TRUE(seen.starts_with("GET /a HTTP/1.1\r\nHost: svc\r\nX-Thing: One\r\nx-request-id: ")) << seen;
  EXPECT_TRUE(has(logged(), "\"GET /a HTTP/1.1\" 200 - via_upstream"));
}

TEST_F(H1Test, both_connections_are_kept_and_each_message_is_one_write) {
  auto& client = connect_client();
  answer(client, kGet, kOk);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(answer(client, kGet, kOk), kOk);
  ASSERT_EQ(dialer.dialled.size(), 1u);
  EXPECT_EQ(dialer.dialled[0].pod, "dev/caller");
  EXPECT_EQ(dialer.near_ends[0]->writes(), 4u);
  EXPECT_EQ(near_client->writes(), 4u);
}

TEST_F(H1Test, bodies_with_a_length_pass_both_ways) {
  auto& client = connect_client();
  say(client, "POST /up HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\nhello");
  server = &accept(1001);
  EXPECT_TRUE(has(server->take(), "Content-Length: 10\r\n"));
  say(client, "world");
  EXPECT_EQ(server->take(), "world");
  say(*server, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  EXPECT_TRUE(client.take().ends_with("\r\n\r\nabc"));
  say(*server, "def");
  EXPECT_EQ(client.take(), "def");
  EXPECT_TRUE(has(logged(), " 10 6 "));
}

TEST_F(H1Test, chunked_bodies_and_trailers_pass_both_ways) {
  auto& client = connect_client();
  const auto got =
      answer(client,
             "POST /up HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\nTrailer: "
             "X-Sum\r\n\r\n5\r\nhello\r\n0\r\n"
             "X-Sum: 1\r\n\r\n",
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 2\r\n\r\n");
  EXPECT_TRUE(has(seen, "Trailer: X-Sum\r\n")) << seen;
  EXPECT_TRUE(has(seen, "transfer-encoding: chunked\r\n")) << seen;
  EXPECT_TRUE(seen.ends_with("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")) << seen;
  EXPECT_TRUE(got.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nX-End: 2\r\n\r\n")) << got;
  EXPECT_EQ(answer(client, kGet, kOk), kOk) << "the connection lives on";
}

TEST_F(H1Test, a_response_that_ends_with_its_connection_becomes_chunked) {
  auto& client = connect_client();
  say(client, kGet);
  server = &accept(1001);
  say(*server, "HTTP/1.1 200 OK\r\n\r\nabc");
  server->shutdown_write();
  turn();
  EXPECT_TRUE(has(client.take(), "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
  say(client, kGet);
  EXPECT_EQ(waiting(1001), 1u) << "that connection is not used again";
}

TEST_F(H1Test, head_and_bodiless_statuses_have_no_body) {
  auto& client = connect_client();
  auto got =
      answer(client, "HEAD /a HTTP/1.1\r\nHost: s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  EXPECT_TRUE(has(got, "Content-Length: 500\r\n")) << got;
  got = answer(client, kGet, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_FALSE(has(got, "ontent-")) << got;
  got = answer(client, kGet, "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 9\r\n\r\n");
  EXPECT_TRUE(has(got, "Content-Length: 9\r\n")) << got;
  EXPECT_EQ(answer(client, kGet, kOk), kOk);
  EXPECT_EQ(dialer.dialled.size(), 1u);
}

TEST_F(H1Test, an_http_1_0_client_is_served_without_chunks_and_its_connection_closed) {
  auto& client = connect_client();
  const auto got = answer(client, "GET /a HTTP/1.0\r\nHost: s\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_TRUE(seen.starts_with("GET /a HTTP/1.1\r\n"));
  EXPECT_TRUE(got.starts_with("HTTP/1.0 200 OK\r\n")) << got;
  EXPECT_TRUE(got.ends_with("connection: close\r\n\r\nabc")) << got;
  EXPECT_TRUE(client.at_end());
}

TEST_F(H1Test, an_http_1_0_client_may_ask_to_stay_and_needs_no_host) {
  auto& client = connect_client();
  const auto got = answer(client, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", kOk);
  EXPECT_TRUE(has(got, "connection: keep-alive\r\n")) << got;
  EXPECT_FALSE(client.at_end());
  EXPECT_TRUE(has(answer(client, "GET /a HTTP/1.0\r\n\r\n", kOk), "hi"));
  EXPECT_TRUE(client.at_end());
}

TEST_F(H1Test, hop_by_hop_fields_stay_on_their_hop) {
  auto& client = connect_client();
  const auto got =
      answer(client,
             "GET /a HTTP/1.1\r\nHost: s\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
             "Proxy-Connection: x\r\nUpgrade: TLS/1.2\r\nTE: trailers, deflate\r\nX-Stay: 1\r\n\r\n",
             "HTTP/1.1 200 OK\r\nConnection: X-Back-Hop\r\nX-Back-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
             "Content-Length: 0\r\nX-Stay: 2\r\n\r\n");
  for (const auto* gone : {"X-Hop", "Keep-Alive", "Proxy-Connection", "pgrade", "onnection", "deflate"})
    EXPECT_FALSE(has(seen, gone)) << gone << " in " << seen;
  EXPECT_TRUE(has(seen, "X-Stay: 1\r\n"));
  EXPECT_TRUE(has(seen, "te: trailers\r\n"));
  for (const auto* gone : {"X-Back-Hop", "Keep-Alive", "onnection"}) EXPECT_FALSE(has(got, gone)) << got;
  EXPECT_TRUE(has(got, "X-Stay: 2\r\n"));
}

TEST_F(H1Test, requests_sent_ahead_are_answered_in_order) {
  auto& client = connect_client();
  say(client, std::string("GET /1 HTTP/1.1\r\nHost: s\r\n\r\nGET /2 HTTP/1.1\r\nHost: s\r\n\r\nGET /3 "
                          "HTTP/1.1\r\nHost: s\r\n\r\n"));
  server = &accept(1001);
  for (const auto* path : {"/1", "/2", "/3"}) {
    const auto request = server->take();
    EXPECT_TRUE(has(request, path)) << request;
    EXPECT_EQ(std::ranges::count(request, 'G'), 1) << "one at a time";
    say(*server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + std::string(path));
    EXPECT_TRUE(client.take().ends_with(path));
  }
  EXPECT_EQ(dialer.dialled.size(), 1u);
}

TEST_F(H1Test, a_hundred_continue_travels_end_to_end) {
  auto& client = connect_client();
  say(client, "POST /up HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  server = &accept(1001);
  EXPECT_TRUE(has(server->take(), "Expect: 100-continue\r\n"));
  EXPECT_EQ(client.take(), "") << "the proxy does not answer for the destination";
  say(*server, "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(client.take(), "HTTP/1.1 100 Continue\r\n\r\n");
  say(client, "hello");
  EXPECT_EQ(server->take(), "hello");
  say(*server, kOk);
  EXPECT_EQ(client.take(), kOk);
}

TEST_F(H1Test, early_hints_pass_and_1_0_clients_do_not_see_them) {
  auto& client = connect_client();
  const auto got = answer(client, kGet, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + std::string(kOk));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n")) << got;
  const auto old =
      answer(client, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + std::string(kOk));
  EXPECT_TRUE(old.starts_with("HTTP/1.0 200 OK\r\n")) << old;
}

TEST_F(H1Test, a_refused_expectation_closes_since_the_body_may_or_may_not_come) {
  auto& client = connect_client();
  const auto got =
      answer(client, "POST /up HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
             "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(has(got, "connection: close\r\n")) << got;
}

TEST_F(H1Test, an_early_answer_ends_the_request_and_a_large_rest_closes_the_connection) {
  auto& client = connect_client();
  say(client, "POST /up HTTP/1.1\r\nHost: s\r\nContent-Length: 1000000\r\n\r\nsome");
  server = &accept(1001);
  server->take();
  say(*server, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(has(client.take(), "connection: close\r\n"));
  EXPECT_TRUE(server->at_end()) << "the rest of the request will not come";
  say(client, std::string(10'000, 'x'));  // still being sent: it must not reset the answer away
  EXPECT_FALSE(client.was_reset());
  EXPECT_EQ(client.unread(), 0u);
  clock.advance(base::Millis(6'000));
  turn();
  EXPECT_TRUE(connections.empty()) << "lingering ends";
}

TEST_F(H1Test, an_early_answer_with_a_small_rest_keeps_the_connection) {
  snapshot.route_tables[0].hosts[0].routes[0].matches = {{.uri = {{model::StringMatch::Kind::kExact, "/a"}}}};
  auto& client = connect_client();
  say(client, "POST /nowhere HTTP/1.1\r\nHost: s\r\nContent-Length: 8\r\n\r\nhalf");
  EXPECT_TRUE(client.take().starts_with("HTTP/1.1 404 Not Found\r\n"));
  say(client, "rest");
  EXPECT_EQ(answer(client, kGet, kOk), kOk);
}

TEST_F(H1Test, an_early_head_lets_the_request_body_flow_on) {
  auto& client = connect_client();
  say(client, "POST /echo HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  server = &accept(1001);
  server->take();
  say(*server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n");
  EXPECT_TRUE(client.take().ends_with("1\r\nA\r\n"));
  say(client, "1\r\nb\r\n0\r\n\r\n");
  EXPECT_EQ(server->take(), "1\r\nb\r\n0\r\n\r\n");
  say(*server, "1\r\nB\r\n0\r\n\r\n");
  EXPECT_EQ(client.take(), "1\r\nB\r\n0\r\n\r\n");
  EXPECT_TRUE(has(logged(), " 200 - via_upstream"));
}

TEST_F(H1Test, short_reads_and_writes_change_nothing) {
  auto& client = connect_client();
  client_faults->most_per_read = 3;
  client_faults->most_per_write = 2;
  dialer.next_faults = {.most_per_read = 1, .most_per_write = 3};
  for (int i = 0; i < 40; ++i)
    say(client, i == 0 ? "POST /x HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody" : "");
  server = &accept(1001);
  EXPECT_TRUE(server->take().ends_with("\r\n\r\nbody"));
  say(*server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n");
  for (int i = 0; i < 40; ++i) turn();
  EXPECT_TRUE(client.take().ends_with("0\r\nX: y\r\n\r\n"));
}

}  // namespace
}  // namespace weft::http
