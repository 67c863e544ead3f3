// HTTP/2 in clear text on either side of the proxy.
#include "tests/unit/proxy/http/h2_peer.h"
#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Back: Yes\r\n\r\nhi";

// HTTP/2 client, HTTP/1 destination.
struct H2ServerTest : Rig {
  H2Peer& connect_h2(bool manual_windows = false) {
    end = &connect_client();
    peer = std::make_unique<H2Peer>(*end, false, manual_windows);
    run();
    return *peer;
  }
  void run() {
    peer->run([this] { turn(); });
  }
  std::string answer(std::string_view response) {
    auto& server = waiting(1001) > 0 ? accept(1001) : *accepted.back();
    auto seen = server.take();
    say(server, response);
    run();
    return seen;
  }
  test::PairEnd* end = nullptr;
  std::unique_ptr<H2Peer> peer;
};

TEST_F(H2ServerTest, prior_knowledge_is_recognised_and_a_request_is_served_over_http_1) {
  auto& client = connect_h2();
  const int32_t id = client.request({{"x-thing", "One"}});
  run();
  const auto seen = answer(kOk);
  EXPECT_TRUE(seen.starts_with("GET /a HTTP/1.1\r\nhost: svc\r\nx-thing: One\r\nx-request-id: ")) << seen;
  const auto& stream = client.streams[id];
  EXPECT_EQ(stream.status(), "200");
  EXPECT_EQ(stream.get("x-back"), "Yes");
  EXPECT_EQ(stream.get("content-length"), "2");
  EXPECT_EQ(stream.body, "hi");
  EXPECT_TRUE(stream.ended && stream.closed);
  EXPECT_EQ(stream.error, 0u);
  EXPECT_TRUE(has(logged(), "\"GET /a HTTP/2\" 200 - via_upstream"));
}

TEST_F(H2ServerTest, the_preface_may_come_byte_by_byte) {
  end = &connect_client();
  client_faults->most_per_read = 1;
  peer = std::make_unique<H2Peer>(*end, false);
  for (int i = 0; i < 30; ++i) run();
  const int32_t id = peer->request();
  for (int i = 0; i < 30; ++i) run();
  answer(kOk);
  EXPECT_EQ(peer->streams[id].status(), "200");
}

TEST_F(H2ServerTest, many_requests_run_at_once_and_are_answered_in_any_order) {
  auto& client = connect_h2();
  std::vector<int32_t> ids;
  for (int i = 0; i < 20; ++i)
    ids.push_back(client.request({}, nullptr, true, "GET", "/" + std::to_string(i)));
  run();
  ASSERT_EQ(waiting(1001), 20u);
  std::vector<test::PairEnd*> servers;
  for (int i = 0; i < 20; ++i) servers.push_back(&accept(1001));
  const uint64_t before = near_client->writes();
  for (int i = 19; i >= 0; --i) {
    const auto seen = servers[i]->take();
    const auto path = seen.substr(4, seen.find(' ', 4) - 4);
    servers[i]->send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(path.size()) + "\r\n\r\n" + path);
  }
  run();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.streams[ids[i]].body, "/" + std::to_string(i));
  EXPECT_LE(near_client->writes() - before, 2u) << "what one turn brought leaves in one write";
}

TEST_F(H2ServerTest, bodies_trailers_and_hundred_continue_pass) {
  auto& client = connect_h2();
  const int32_t id = client.request({{"expect", "100-continue"}, {"te", "trailers"}}, "hel", false, "POST");
  run();
  auto& server = accept(1001);
  const auto head = server.take();
  EXPECT_TRUE(has(head, "transfer-encoding: chunked\r\n")) << head;
  EXPECT_TRUE(has(head, "te: trailers\r\n")) << head;
  say(server, "HTTP/1.1 100 Continue\r\n\r\n");
  run();
  EXPECT_EQ(client.streams[id].informational, std::vector<std::string>{"100"});
  client.more(id, "lo", true, {{"x-sum", "1"}});
  run();
  EXPECT_TRUE(server.take().ends_with("2\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n"));
  say(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 2\r\n\r\n");
  run();
  const auto& stream = client.streams[id];
  EXPECT_EQ(stream.body, "abc");
  EXPECT_EQ(stream.trailers, (H2Peer::Headers{{"x-end", "2"}}));
  EXPECT_TRUE(stream.ended);
}

TEST_F(H2ServerTest, a_declared_length_is_kept_and_an_empty_post_gets_one) {
  auto& client = connect_h2();
  client.request({{"content-length", "2"}}, "hi", true, "POST");
  run();
  const auto seen = answer(kOk);
  EXPECT_TRUE(has(seen, "content-length: 2\r\n") && seen.ends_with("\r\n\r\nhi")) << seen;
  EXPECT_FALSE(has(seen, "chunked"));
  client.request({}, nullptr, true, "POST");
  run();
  EXPECT_TRUE(has(answer(kOk), "content-length: 0\r\n"));
}

TEST_F(H2ServerTest, a_length_that_data_contradicts_resets_the_stream_and_cuts_the_destination) {
  auto& client = connect_h2();
  const int32_t id = client.request({{"content-length", "5"}}, "hi", true, "POST");
  run();
  EXPECT_TRUE(client.streams[id].closed);
  EXPECT_EQ(client.streams[id].error, static_cast<uint32_t>(NGHTTP2_PROTOCOL_ERROR));
  if (waiting(1001) > 0) {
    auto& server = accept(1001);
    server.take();
    EXPECT_TRUE(server.at_end());
  }
}

TEST_F(H2ServerTest, values_that_would_be_another_header_in_http_1_reset_the_stream) {
  auto& client = connect_h2();
  for (const std::string& bad :
       {std::string("a\r\nx-evil: 1"), std::string("a\nb"), std::string("a\0b", 3)}) {
    const int32_t id = client.request({{"x-thing", bad}});
    run();
    EXPECT_TRUE(client.streams[id].closed) << bad;
    EXPECT_NE(client.streams[id].error, 0u);
  }
  const int32_t path = client.request({}, nullptr, true, "GET", "/a HTTP/1.1\r\nx-evil: 1");
  run();
  EXPECT_NE(client.streams[path].error, 0u);
  EXPECT_TRUE(dialer.dialled.empty());
  const int32_t fine = client.request();
  run();
  answer(kOk);
  EXPECT_EQ(client.streams[fine].status(), "200") << "the connection is none the worse";
}

TEST_F(H2ServerTest, fields_of_a_connection_are_refused) {
  auto& client = connect_h2();
  for (const auto& field : H2Peer::Headers{{"connection", "close"}, {"transfer-encoding", "chunked"}}) {
    const int32_t id = client.request({field});
    run();
    EXPECT_NE(client.streams[id].error, 0u) << field.first;
  }
  EXPECT_TRUE(dialer.dialled.empty());
}

TEST_F(H2ServerTest, authority_and_host_must_agree) {
  auto& client = connect_h2();
  const int32_t bad = client.request({{"host", "other"}});
  const int32_t good = client.request({{"host", "SVC"}});
  run();
  EXPECT_EQ(client.streams[bad].status(), "400");
  ASSERT_EQ(waiting(1001), 1u);
  EXPECT_TRUE(has(answer(kOk), "SVC"));
  EXPECT_EQ(client.streams[good].status(), "200");
}

TEST_F(H2ServerTest, cookie_crumbs_are_one_field_in_http_1) {
  auto& client = connect_h2();
  client.request({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", "c=3"}});
  run();
  const auto seen = answer(kOk);
  EXPECT_TRUE(has(seen, "cookie: a=1; b=2; c=3\r\nx: y\r\n")) << seen;
}

TEST_F(H2ServerTest, heads_are_bounded) {
  auto& client = connect_h2();
  H2Peer::Headers many;
  for (int i = 0; i < 120; ++i) many.emplace_back("x-" + std::to_string(i), "y");
  const int32_t id = client.request(many);
  run();
  EXPECT_EQ(client.streams[id].status(), "431");
}

TEST_F(H2ServerTest, local_replies_connect_and_grpc_mapping) {
  snapshot.route_tables[0].hosts[0].routes[0].matches = {
      {.uri = {{model::StringMatch::Kind::kExact, "/only"}}}};
  auto& client = connect_h2();
  const int32_t missing = client.request();
  const int32_t grpc =
      client.request({{"content-type", "application/grpc"}, {"te", "trailers"}}, "x", false, "POST");
  const int32_t connect = client.submit({{":method", "CONNECT"}, {":authority", "a:1"}});
  run();
  EXPECT_EQ(client.streams[missing].status(), "404");
  EXPECT_EQ(client.streams[grpc].status(), "200");
  EXPECT_EQ(client.streams[grpc].get("grpc-status"), "12");
  EXPECT_TRUE(client.streams[grpc].ended);
  EXPECT_EQ(client.streams[connect].status(), "403");
}

TEST_F(H2ServerTest, a_reset_by_the_client_stops_the_request) {
  auto& client = connect_h2();
  const int32_t id = client.request();
  run();
  auto& server = accept(1001);
  server.take();
  client.reset(id, NGHTTP2_CANCEL);
  run();
  EXPECT_TRUE(server.at_end());
  EXPECT_TRUE(has(logged(), " 0 DR "));
}

TEST_F(H2ServerTest, a_response_cut_in_its_middle_resets_the_stream) {
  auto& client = connect_h2();
  const int32_t id = client.request();
  run();
  say(accept(1001), "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  accepted.clear();
  run();
  EXPECT_EQ(client.streams[id].error, static_cast<uint32_t>(NGHTTP2_INTERNAL_ERROR));
}

TEST_F(H2ServerTest, a_client_that_opens_no_window_stops_the_destination) {
  auto& client = connect_h2(true);
  const int32_t id = client.request();
  run();
  auto& server = accept(1001);
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
  size_t sent = 0;
  for (int i = 0; i < 400 && server.unread() < 200'000; ++i, sent += 16'000) {
    server.send(std::string(16'000, 'x'));
    run();
  }
  EXPECT_EQ(client.streams[id].body.size(), 65'535u) << "the window";
  const size_t held = sent - server.unread() - client.streams[id].body.size();
  EXPECT_LE(held, limits.stream_buffer + limits.read_block);
}

TEST_F(H2ServerTest, a_slow_destination_leaves_the_clients_window_closed) {
  auto& client = connect_h2();
  dialer.next_faults.room = 10'000;
  const std::string big(1'000'000, 'x');
  const int32_t id = client.request({}, big.c_str(), true, "POST");
  for (int i = 0; i < 20; ++i) run();
  auto& server = accept(1001);
  const size_t sent = big.size() - client.streams[id].to_send.size();
  EXPECT_LE(sent, limits.h2_stream_window + 10'000 + limits.read_block) << "held by the proxy is bounded";
  // It reads: everything comes.
  std::string got;
  for (int i = 0; i < 2'000 && !got.ends_with("0\r\n\r\n"); ++i) {
    got += server.take();
    run();
  }
  EXPECT_TRUE(got.ends_with("0\r\n\r\n"));
  EXPECT_GT(got.size(), big.size());
}

TEST_F(H2ServerTest, an_early_answer_ends_the_stream_without_an_error) {
  auto& client = connect_h2();
  const int32_t id = client.request({}, "some", false, "POST");
  run();
  EXPECT_FALSE(answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").empty());
  EXPECT_EQ(client.streams[id].status(), "413");
  EXPECT_TRUE(client.streams[id].ended);
  EXPECT_TRUE(client.streams[id].closed) << "the rest of the request is told not to come";
  EXPECT_EQ(client.streams[id].error, 0u);
}

TEST_F(H2ServerTest, floods_of_frames_that_carry_nothing_end_the_connection) {
  limits.h2_control_burst = 100;
  auto& client = connect_h2();
  for (int i = 0; i < 150; ++i) nghttp2_submit_ping(client.raw(), 0, nullptr);
  run();
  run();
  EXPECT_TRUE(client.went_away);
  EXPECT_EQ(client.goaway_code, static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_TRUE(connections.empty());
  EXPECT_EQ(metrics.counters.http2_floods, 1u);
}

TEST_F(H2ServerTest, rapid_resets_end_the_connection) {
  limits.h2_control_burst = 100;
  auto& client = connect_h2();
  for (int i = 0; i < 150 && !client.went_away; ++i) {
    const int32_t id = client.request();
    client.pump();
    client.reset(id, NGHTTP2_CANCEL);
    run();
  }
  EXPECT_TRUE(client.went_away);
  EXPECT_TRUE(connections.empty());
}

TEST_F(H2ServerTest, a_websocket_over_http_2_becomes_an_upgrade_over_http_1) {
  auto& client = connect_h2();
  EXPECT_EQ(nghttp2_session_get_remote_settings(client.raw(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL), 1u);
  const int32_t id = client.submit({{":method", "CONNECT"},
                                    {":protocol", "websocket"},
                                    {":scheme", "http"},
                                    {":authority", "svc"},
                                    {":path", "/chat"},
                                    {"sec-websocket-version", "13"}},
                                   "early", false);
  run();
  auto& server = accept(1001);
  const auto seen = server.take();
  EXPECT_TRUE(seen.starts_with("GET /chat HTTP/1.1\r\nhost: svc\r\n")) << seen;
  EXPECT_TRUE(has(seen, "connection: Upgrade\r\nupgrade: websocket\r\n\r\n")) << seen;
  EXPECT_TRUE(has(seen, "sec-websocket-key: ")) << seen;
  say(server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
  run();
  EXPECT_EQ(client.streams[id].status(), "200");
  EXPECT_EQ(client.streams[id].get("upgrade"), "");
  EXPECT_EQ(client.streams[id].body, "hello");
  EXPECT_EQ(server.take(), "early");
  client.more(id, "bye", true);
  run();
  EXPECT_EQ(server.take(), "bye");
  EXPECT_TRUE(server.at_end());
  say(server, "bye too");
  server.shutdown_write();
  run();
  EXPECT_EQ(client.streams[id].body, "hellobye too");
  EXPECT_TRUE(client.streams[id].ended && client.streams[id].closed);
  EXPECT_EQ(client.streams[id].error, 0u);
}

TEST_F(H2ServerTest, draining_says_goaway_and_lets_running_streams_end) {
  auto& client = connect_h2();
  const int32_t id = client.request();
  run();
  connections[0]->drain({});
  run();
  EXPECT_TRUE(client.went_away);
  EXPECT_EQ(client.goaway_code, 0u);
  answer(kOk);
  EXPECT_EQ(client.streams[id].status(), "200");
  run();
  EXPECT_TRUE(connections.empty());
}

TEST_F(H2ServerTest, draining_with_patience_serves_what_crosses_the_warning_and_then_names_the_last_stream) {
  auto& client = connect_h2();
  client.request();
  run();
  answer(kOk);
  connections[0]->drain(base::Millis(5'000));
  const int32_t late = client.request();
  run();
  EXPECT_TRUE(client.went_away);
  answer(kOk);
  EXPECT_EQ(client.streams[late].status(), "200");
  EXPECT_FALSE(connections.empty());
  clock.advance(base::Millis(1'100));
  run();
  EXPECT_TRUE(connections.empty());
}

TEST_F(H2ServerTest, a_client_that_vanishes_ends_all_its_requests) {
  auto& client = connect_h2();
  for (int i = 0; i < 3; ++i) client.request();
  run();
  for (int i = 0; i < 3; ++i) accept(1001).take();
  end->reset();
  turn();
  EXPECT_TRUE(connections.empty());
  for (auto& server : accepted) EXPECT_TRUE(server->at_end());
}

// HTTP/1 client, HTTP/2 destination.
struct H2ClientTest : Rig {
  H2ClientTest() { snapshot.clusters[0].protocol = model::Protocol::kHttp2; }
  H2Peer& accept_h2(bool manual_windows = false, std::vector<nghttp2_settings_entry> settings = {}) {
    peers.push_back(std::make_unique<H2Peer>(accept(1001), true, manual_windows, std::move(settings)));
    run();
    return *peers.back();
  }
  void run() {
    for (auto& peer : peers) peer->run([this] { turn(); });
  }
  std::vector<std::unique_ptr<H2Peer>> peers;
};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: svc\r\nX-Thing: One\r\n\r\n";

TEST_F(H2ClientTest, an_http_1_request_is_carried_over_http_2_and_back) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept_h2();
  const auto& seen = server.streams[1];
  EXPECT_EQ(seen.get(":method"), "GET");
  EXPECT_EQ(seen.get(":path"), "/a");
  EXPECT_EQ(seen.get(":authority"), "svc");
  EXPECT_EQ(seen.get("x-thing"), "One");
  EXPECT_EQ(seen.get("host"), "");
  EXPECT_TRUE(seen.ended);
  server.respond(1, {{":status", "200"}, {"x-back", "Yes"}}, "hi");
  run();
  EXPECT_EQ(client.take(),
            "HTTP/1.1 200 OK\r\nx-back: Yes\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
}

TEST_F(H2ClientTest, a_connection_whose_tunnel_drains_takes_no_further_stream_and_ends_those_it_has) {
  auto& client = connect_client();
  say(client, kGet);
  auto& first = accept_h2();
  dialer.last_faults->ends_soon = true;
  auto& other = connect_client();
  say(other, kGet);
  ASSERT_EQ(dialer.dialled.size(), 2u);
  auto& second = accept_h2();
  EXPECT_EQ(first.streams.size(), 1u);
  EXPECT_EQ(second.streams.size(), 1u);
  first.respond(1, {{":status", "204"}});
  run();
  EXPECT_TRUE(client.take().starts_with("HTTP/1.1 204 "));
}

TEST_F(H2ClientTest, a_status_below_100_is_a_broken_destination) {
  auto& client = connect_client();
  say(client, kGet);
  accept_h2().respond(1, {{":status", "099"}}, "hi");
  run();
  const std::string got = client.take();
  EXPECT_TRUE(has(got, "HTTP/1.1 502 Bad Gateway")) << got;
  const std::string line = logged();
  EXPECT_TRUE(has(line, " 502 UPE http2.status ")) << line;
}

TEST_F(H2ClientTest, requests_of_many_clients_share_one_connection) {
  for (int i = 0; i < 5; ++i) say(connect_client(), kGet);
  auto& server = accept_h2();
  EXPECT_EQ(dialer.dialled.size(), 1u);
  EXPECT_EQ(server.streams.size(), 5u);
  for (int32_t id = 1; id <= 9; id += 2) server.respond(id, {{":status", "204"}});
  run();
  for (auto& client : clients) EXPECT_EQ(client->take(), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(H2ClientTest, the_destinations_bound_on_streams_is_kept_by_dialling_another) {
  say(connect_client(), kGet);
  accept_h2(false, {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1}});
  say(connect_client(), kGet);
  EXPECT_EQ(dialer.dialled.size(), 2u);
}

TEST_F(H2ClientTest, bodies_and_trailers_pass_both_ways) {
  auto& client = connect_client();
  say(client,
      "POST /up HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: "
      "1\r\n\r\n");
  auto& server = accept_h2();
  EXPECT_EQ(server.streams[1].body, "hello");
  EXPECT_EQ(server.streams[1].trailers, (H2Peer::Headers{{"x-sum", "1"}}));
  server.respond(1, {{":status", "200"}}, "abc", false);
  run();
  server.more(1, "def", true, {{"grpc-status", "0"}});
  run();
  EXPECT_TRUE(client.take().ends_with("3\r\nabc\r\n3\r\ndef\r\n0\r\ngrpc-status: 0\r\n\r\n"));
}

TEST_F(H2ClientTest, a_refused_stream_is_asked_again) {
  auto& client = connect_client();
  say(client, "POST /up HTTP/1.1\r\nHost: s\r\n\r\n");
  auto& server = accept_h2();
  server.reset(1, NGHTTP2_REFUSED_STREAM);
  run();
  EXPECT_EQ(metrics.counters.http_retries, 1u);
  auto& again = waiting(1001) > 0 ? accept_h2() : server;
  const int32_t id = &again == &server ? 3 : 1;
  again.respond(id, {{":status", "200"}, {"content-length", "0"}});
  run();
  EXPECT_TRUE(has(client.take(), "200 OK"));
}

TEST_F(H2ClientTest, a_reset_by_the_destination_is_503_ur_or_cuts_the_answer) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept_h2();
  server.reset(1, NGHTTP2_INTERNAL_ERROR);
  run();
  EXPECT_TRUE(has(client.take(), "503 Service Unavailable"));
  EXPECT_TRUE(has(logged(), " 503 UR "));
  say(client, kGet);
  run();
  server.respond(3, {{":status", "200"}}, "half", false);
  run();
  server.reset(3, NGHTTP2_INTERNAL_ERROR);
  run();
  EXPECT_TRUE(client.was_reset());
}

TEST_F(H2ClientTest, goaway_lets_running_streams_end_and_new_ones_dial) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept_h2();
  nghttp2_submit_goaway(server.raw(), 0, 1, NGHTTP2_NO_ERROR, nullptr, 0);
  run();
  say(connect_client(), kGet);
  EXPECT_EQ(waiting(1001), 1u);
  server.respond(1, {{":status", "204"}});
  run();
  EXPECT_TRUE(has(client.take(), "204"));
}

TEST_F(H2ClientTest, streams_above_the_last_of_a_goaway_are_asked_again) {
  auto& first = connect_client();
  say(first, "POST /1 HTTP/1.1\r\nHost: s\r\n\r\n");
  auto& server = accept_h2();
  auto& second = connect_client();
  say(second, "POST /2 HTTP/1.1\r\nHost: s\r\n\r\n");
  run();
  nghttp2_submit_goaway(server.raw(), 0, 1, NGHTTP2_NO_ERROR, nullptr, 0);
  run();
  ASSERT_EQ(waiting(1001), 1u);
  auto& other = accept_h2();
  EXPECT_EQ(other.streams[1].get(":path"), "/2");
}

TEST_F(H2ClientTest, a_connection_that_dies_fails_what_ran_on_it) {
  auto& client = connect_client();
  say(client, "POST /a HTTP/1.1\r\nHost: s\r\n\r\n");
  accept_h2();
  peers.clear();
  accepted[0]->reset();
  turn();
  EXPECT_TRUE(has(client.take(), "503 Service Unavailable"));
  EXPECT_TRUE(has(logged(), " 503 UC "));
}

TEST_F(H2ClientTest, a_slow_client_leaves_the_destinations_window_closed_and_gets_all_in_the_end) {
  auto& client = connect_client();
  client_faults->room = 10'000;
  say(client, kGet);
  auto& server = accept_h2();
  const std::string big(500'000, 'x');
  server.respond(1, {{":status", "200"}, {"content-length", "500000"}}, big.c_str());
  for (int i = 0; i < 10; ++i) run();
  EXPECT_LE(big.size() - server.streams[1].to_send.size(),
            limits.h2_stream_window + 10'000 + limits.read_block);
  std::string got;
  for (int i = 0; i < 2'000 && got.size() < big.size() + 50; ++i) {
    got += client.take();
    run();
  }
  EXPECT_EQ(got.substr(got.size() - std::min(got.size(), big.size())), big);
}

TEST_F(H2ClientTest, both_sides_may_speak_http_2_and_grpc_status_is_recorded) {
  auto& end = connect_client();
  H2Peer client(end, false);
  const auto both = [&] {
    client.run([this] { turn(); });
    run();
    client.run([this] { turn(); });
  };
  both();
  const int32_t id =
      client.request({{"content-type", "application/grpc"}, {"te", "trailers"}}, "req", true, "POST");
  both();
  auto& server = accept_h2();
  EXPECT_EQ(server.streams[1].get("te"), "trailers");
  EXPECT_EQ(server.streams[1].body, "req");
  server.respond(1, {{":status", "200"}, {"content-type", "application/grpc"}}, "resp", false);
  both();
  server.more(1, "", true, {{"grpc-status", "5"}, {"grpc-message", "gone"}});
  both();
  EXPECT_EQ(client.streams[id].body, "resp");
  EXPECT_EQ(client.streams[id].trailers, (H2Peer::Headers{{"grpc-status", "5"}, {"grpc-message", "gone"}}));
  EXPECT_TRUE(client.streams[id].closed);
}

}  // namespace
}  // namespace weft::http
