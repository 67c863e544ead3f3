// A session against a peer driven by hand: what it says, what it bounds, how it ends.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/hbone_rig.h"
#include "tests/unit/proxy/http/h2_peer.h"

namespace weft::hbone {
namespace {

using http::H2Peer;
using test::HboneRig;

const H2Peer::Headers kConnect = {{":method", "CONNECT"}, {":authority", "10.1.0.2:80"}};

// A hand-driven source in front of a tunnel of ours.
struct ServerTest : ::testing::Test, HboneRig {
  void begin(bool manual = false, std::vector<nghttp2_settings_entry> settings = {}) {
    test::TransportPair pair;
    faults = pair.faults;
    end = std::move(pair.far);
    accept(std::move(pair.near));
    peer = std::make_unique<H2Peer>(*end, false, manual, std::move(settings));
    run();
  }
  void run() {
    peer->run([&] { turn(3); });
  }
  // Sends without reading first.
  void say() {
    const uint8_t* data;
    while (const ssize_t size = nghttp2_session_mem_send(peer->raw(), &data))
      end->send({reinterpret_cast<const char*>(data), static_cast<size_t>(size)});
  }
  // What the peer's bytes are when they are made by hand.
  void frame(uint8_t type, uint8_t flags, int32_t id, std::string_view payload) {
    std::string head(9, '\0');
    for (int i = 0; i < 3; ++i) head[i] = static_cast<char>(payload.size() >> (16 - 8 * i));
    head[3] = static_cast<char>(type);
    head[4] = static_cast<char>(flags);
    for (int i = 0; i < 4; ++i) head[5 + i] = static_cast<char>(id >> (24 - 8 * i));
    end->send(head + std::string(payload));
  }
  uint32_t setting(nghttp2_settings_id id) { return nghttp2_session_get_remote_settings(peer->raw(), id); }

  std::shared_ptr<test::Faults> faults;
  std::unique_ptr<test::PairEnd> end;
  std::unique_ptr<H2Peer> peer;
};

TEST_F(ServerTest, it_advertises_the_parameters_of_the_contract) {
  begin();
  EXPECT_EQ(setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE), 4u << 20);
  EXPECT_EQ(setting(NGHTTP2_SETTINGS_MAX_FRAME_SIZE), 1u << 20);
  EXPECT_EQ(setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 200u);
  EXPECT_EQ(setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE), 64u << 10);
  EXPECT_EQ(setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL), 0u);
  EXPECT_EQ(nghttp2_session_get_remote_window_size(peer->raw()), 16 << 20);
}

TEST_F(ServerTest, method_and_authority_alone_are_enough) {
  begin();
  const auto id = peer->submit(kConnect, "hi", false);
  run();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0]->authority().to_string(), "10.1.0.2:80");
  EXPECT_EQ(requests[0]->baggage(), "");
  EXPECT_EQ(peer->streams[id].status(), "");  // nothing before the owner accepts
  test::Reader app(requests[0]->accept("k8s.namespace.name=shop"), *loop);
  run();
  EXPECT_EQ(peer->streams[id].status(), "200");
  EXPECT_EQ(peer->streams[id].get("baggage"), "k8s.namespace.name=shop");
  EXPECT_EQ(app.got, "hi");
  EXPECT_EQ(counters.hbone_streams_accepted, 1u);
}

TEST_F(ServerTest, repeated_baggage_lines_are_joined_and_claims_are_handed_on) {
  begin();
  peer->submit({{":method", "CONNECT"},
                {":authority", "web.shop:80"},
                {"baggage", "a=b"},
                {"baggage", "service.name=web"},
                {"forwarded", "for=x;host=web"},
                {"traceparent", "tp"}},
               "", false);
  run();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_TRUE(requests[0]->authority().is_name());
  EXPECT_EQ(requests[0]->baggage(), "a=b,service.name=web");
  EXPECT_EQ(requests[0]->forwarded(), "for=x;host=web");
  EXPECT_EQ(requests[0]->traceparent(), "tp");
}

TEST_F(ServerTest, what_breaks_the_rules_is_refused_before_the_owner_sees_it) {
  begin();
  struct Case {
    H2Peer::Headers headers;
    std::string_view status;
  };
  const std::vector<Case> cases = {
      {{{":method", "GET"}, {":scheme", "http"}, {":authority", "10.1.0.2:80"}, {":path", "/"}}, "400"},
      {{{":method", "CONNECT"}, {":authority", "10.1.0.2"}}, "400"},
      {{{":method", "CONNECT"}, {":authority", "10.1.0.3:80"}}, "400"},   // another pod's
      {{{":method", "CONNECT"}, {":authority", "[fd00::1]:80"}}, "400"},
      {{{":method", "CONNECT"}, {":authority", "10.1.0.2:15008"}}, "503"},  // the proxy itself
      {{{":method", "CONNECT"}, {":authority", "10.1.0.2:15001"}}, "503"},
  };
  for (const auto& each : cases) {
    const auto id = peer->submit(each.headers, "", false);
    run();
    EXPECT_EQ(peer->streams[id].status(), each.status) << each.headers[1].second;
    EXPECT_TRUE(peer->streams[id].ended);
  }
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(refused.size(), cases.size());
  EXPECT_EQ(refused[2], "400 10.1.0.3:80: the authority is not this pod's address");
  EXPECT_EQ(counters.hbone_refused_bad_request, 4u);
  EXPECT_EQ(counters.hbone_refused_unavailable, 2u);
}

TEST_F(ServerTest, a_refusal_decided_much_later_and_from_elsewhere_leaves_at_once) {
  begin();
  const auto id = peer->submit(kConnect, "", false);
  run();
  ASSERT_EQ(requests.size(), 1u);
  pass(base::Millis(3000));
  struct Decider final : base::Retirable {
    std::unique_ptr<InboundRequest> request;
  };
  auto decider = std::make_unique<Decider>();
  decider->request = std::move(requests[0]);
  requests.clear();
  loop->retire(std::move(decider));  // refused by being destroyed, behind the output of this turn
  loop->turn(0);
  loop->turn(-1);  // must not sleep on it
  peer->pump();
  EXPECT_EQ(peer->streams[id].status(), "503");
  EXPECT_TRUE(peer->streams[id].ended);
}

TEST_F(ServerTest, a_denial_is_a_401_and_nothing_else) {
  begin();
  const auto id = peer->submit(kConnect, "", false);
  run();
  requests[0]->refuse(Refusal::kDenied);
  run();
  EXPECT_EQ(peer->streams[id].status(), "401");
  EXPECT_EQ(peer->streams[id].headers.size(), 1u);
  EXPECT_EQ(counters.hbone_refused_denied, 1u);
}

TEST_F(ServerTest, bytes_behind_a_refusal_are_thrown_away_and_the_tunnel_lives_on) {
  begin();
  const auto id = peer->submit({{":method", "CONNECT"}, {":authority", "bad"}}, "", false);
  run();
  peer->more(id, std::string(60'000, 'x'), false);
  run();
  EXPECT_TRUE(peer->streams[id].closed);
  const auto next = peer->submit(kConnect, "", false);
  run();
  requests[0]->refuse(Refusal::kUnavailable);
  run();
  EXPECT_EQ(peer->streams[next].status(), "503");
}

TEST_F(ServerTest, a_request_taken_back_is_told_to_its_watcher) {
  struct Watcher final : InboundWatcher {
    void on_request_gone() override { ++told; }
    int told = 0;
  } watcher;
  begin();
  const auto id = peer->submit(kConnect, "", false);
  run();
  requests[0]->watch(&watcher);
  peer->reset(id, NGHTTP2_CANCEL);
  run();
  EXPECT_EQ(watcher.told, 1);
  EXPECT_TRUE(requests[0]->gone());
  test::Reader app(requests[0]->accept(), *loop);
  run();
  EXPECT_EQ(app.failure, ECONNRESET);
}

TEST_F(ServerTest, codes_of_reset_that_a_stock_peer_uses_for_lost_data_are_resets) {
  begin();
  accept_all = true;
  for (const uint32_t code : {NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_CONNECT_ERROR, NGHTTP2_STREAM_CLOSED}) {
    const auto id = peer->submit(kConnect, "part", false);
    run();
    peer->reset(id, code);
    run();
    EXPECT_EQ(accepted.back()->got, "part");
    EXPECT_EQ(accepted.back()->failure, ECONNRESET) << code;
    EXPECT_FALSE(accepted.back()->ended);
  }
}

TEST_F(ServerTest, no_error_behind_the_end_only_means_that_the_peer_wants_no_more) {
  begin();
  accept_all = true;
  const auto id = peer->submit(kConnect, "all", true);
  run();
  peer->reset(id, NGHTTP2_NO_ERROR);
  run();
  EXPECT_EQ(accepted[0]->got, "all");
  EXPECT_TRUE(accepted[0]->ended);
  accepted[0]->say("unheard");
  EXPECT_EQ(accepted[0]->failure, 0);
  EXPECT_EQ(accepted[0]->write_failure, 0);
}

TEST_F(ServerTest, a_local_reset_says_connect_error_never_cancel) {
  begin();
  accept_all = true;
  const auto first = peer->submit(kConnect, "", false), second = peer->submit(kConnect, "", false);
  run();
  accepted[0]->transport->reset();
  accepted[1].reset();
  run();
  EXPECT_EQ(peer->streams[first].error, NGHTTP2_CONNECT_ERROR);
  EXPECT_EQ(peer->streams[second].error, NGHTTP2_CONNECT_ERROR);
}

TEST_F(ServerTest, abort_resets_streams_before_it_says_goodbye) {
  begin();
  accept_all = true;
  const auto id = peer->submit(kConnect, "", false);
  run();
  tunnels[0]->abort();
  run();
  EXPECT_EQ(peer->streams[id].error, NGHTTP2_CONNECT_ERROR);
  EXPECT_TRUE(peer->went_away);
  EXPECT_EQ(accepted[0]->failure, ECONNRESET);
  EXPECT_TRUE(tunnels.empty());
}

TEST_F(ServerTest, no_settings_within_ten_seconds_ends_it) {
  test::TransportPair pair;
  end = std::move(pair.far);
  accept(std::move(pair.near));
  pass(base::Millis(9'900));
  EXPECT_EQ(tunnels.size(), 1u);
  pass(base::Millis(200));
  EXPECT_TRUE(tunnels.empty());
  EXPECT_TRUE(end->was_reset());
}

TEST_F(ServerTest, a_peer_that_answers_pings_stays_and_a_silent_one_is_cut) {
  begin();
  accept_all = true;
  peer->submit(kConnect, "", false);
  for (int i = 0; i < 20; ++i) {
    run();
    pass(base::Millis(5'000));
  }
  EXPECT_EQ(tunnels.size(), 1u);
  run();
  pass(base::Millis(10'100));  // a PING leaves; nobody reads it
  pass(base::Millis(19'000));
  EXPECT_EQ(tunnels.size(), 1u);
  pass(base::Millis(1'200));
  EXPECT_TRUE(tunnels.empty());
  EXPECT_EQ(counters.hbone_ping_timeouts, 1u);
  EXPECT_EQ(accepted[0]->failure, ECONNRESET);
}

TEST_F(ServerTest, drain_warns_serves_what_was_on_its_way_and_ends_with_the_last_stream) {
  begin();
  accept_all = true;
  const auto first = peer->submit(kConnect, "", false);
  run();
  tunnels[0]->drain();
  const auto late = peer->submit(kConnect, "", false);
  say();  // it crosses the warning
  run();
  EXPECT_TRUE(peer->went_away);
  EXPECT_EQ(peer->streams[late].status(), "200");
  EXPECT_EQ(tunnels.size(), 1u);
  for (const auto id : {first, late}) peer->more(id, "bye", true);
  run();
  for (auto& app : accepted) {
    EXPECT_EQ(app->got, "bye");
    app->transport->shutdown_write();
  }
  run();
  EXPECT_TRUE(tunnels.empty());
  EXPECT_EQ(peer->streams[late].error, NGHTTP2_NO_ERROR);
}

TEST_F(ServerTest, an_old_tunnel_says_goaway_and_ends_gracefully) {
  server_age = base::Millis(60'000);
  begin();
  for (int i = 0; i < 13; ++i) {
    run();
    pass(base::Millis(5'000));
  }
  run();
  EXPECT_TRUE(peer->went_away);
  EXPECT_EQ(peer->goaway_code, NGHTTP2_NO_ERROR);
  EXPECT_EQ(counters.hbone_tunnels_expired, 1u);
  EXPECT_TRUE(tunnels.empty());
}

TEST_F(ServerTest, more_streams_than_advertised_are_refused) {
  begin();
  accept_all = true;
  // A peer that never saw our SETTINGS would open as many as it likes.
  for (int i = 0; i < 260; ++i) peer->submit(kConnect, "", false);
  run();
  EXPECT_LE(accepted.size(), 200u);
  EXPECT_EQ(tunnels.size(), 1u);
}

TEST_F(ServerTest, a_head_beyond_the_bound_is_a_bad_request) {
  begin();
  H2Peer::Headers headers = kConnect;
  for (int i = 0; i < 70; ++i) headers.emplace_back("x-" + std::to_string(i), std::string(1000, 'x'));
  const auto id = peer->submit(headers, "", false);
  run();
  EXPECT_NE(peer->streams[id].status(), "200");
  EXPECT_EQ(asked, 0);
}

TEST_F(ServerTest, fields_behind_the_head_reset_the_stream) {
  begin();
  accept_all = true;
  const auto id = peer->submit(kConnect, "x", false);
  run();
  peer->more(id, "", true, {{"trailer", "x"}});
  run();
  EXPECT_EQ(accepted[0]->failure, ECONNRESET);
}

// ---- floods

TEST_F(ServerTest, rapid_resets_end_the_tunnel) {
  begin();
  for (int i = 0; i < 400 && !tunnels.empty(); ++i) {
    const auto id = peer->submit(kConnect, "", false);
    peer->reset(id, NGHTTP2_CANCEL);
    if (i % 50 == 0) run();
    requests.clear();
  }
  run();
  // Cancelled before it left, a stream is never seen: say it with frames as well.
  for (int i = 0; i < 400 && !tunnels.empty(); ++i) {
    const int32_t id = 2001 + 2 * i;
    frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, std::string("\x02\x07") + "CONNECT" + "\x01\x0b" + "10.1.0.2:80");
    frame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x08", 4));
    turn(2);
    requests.clear();
  }
  EXPECT_TRUE(tunnels.empty());
  EXPECT_EQ(counters.hbone_floods, 1u);
}

TEST_F(ServerTest, ping_settings_empty_data_and_crumbs_of_window_are_bounded) {
  accept_all = true;
  limits.control_burst = 200;
  limits.control_per_second = 10;
  uint64_t floods = 0;
  const auto flood = [&](auto&& one) {
    begin();
    peer->submit(kConnect, "", false);
    run();
    for (int i = 0; i < 1000 && !tunnels.empty(); ++i) {
      one();
      if (i % 20 == 0) turn(2), end->take();
    }
    turn();
    EXPECT_TRUE(tunnels.empty());
    EXPECT_EQ(counters.hbone_floods, ++floods);
  };
  flood([&] { frame(NGHTTP2_PING, 0, 0, "01234567"); });
  flood([&] { frame(NGHTTP2_SETTINGS, 0, 0, ""); });
  flood([&] { frame(NGHTTP2_DATA, 0, 1, ""); });
  flood([&] { frame(NGHTTP2_PRIORITY, 0, 1, std::string("\0\0\0\0\x10", 5)); });
  flood([&] { frame(NGHTTP2_WINDOW_UPDATE, 0, 1, std::string("\0\0\0\1", 4)); });
}

TEST_F(ServerTest, a_continuation_flood_ends_the_tunnel) {
  begin();
  frame(NGHTTP2_HEADERS, 0, 1, std::string("\x02\x07") + "CONNECT");
  for (int i = 0; i < 50 && !tunnels.empty(); ++i) {
    frame(NGHTTP2_CONTINUATION, 0, 1, std::string("\x00\x01x\x01y", 5));
    turn(2);
  }
  EXPECT_TRUE(tunnels.empty());
  EXPECT_EQ(counters.hbone_floods, 1u);
}

TEST_F(ServerTest, a_window_of_one_holds_no_memory_and_hurts_nobody_else) {
  begin(false, {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1}});
  accept_all = true;
  const auto id = peer->submit(kConnect, "", false);
  run();
  accepted[0]->say(std::string(100'000, 'x'));
  run();
  EXPECT_LT(peer->streams[id].body.size(), 1000u);
  EXPECT_GT(accepted[0]->to_send.size(), 99'000u);
  EXPECT_EQ(engine().out.lent(), 0u);
}

TEST_F(ServerTest, garbage_ends_it) {
  test::TransportPair pair;
  end = std::move(pair.far);
  accept(std::move(pair.near));
  end->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  turn();
  EXPECT_TRUE(tunnels.empty());
}

}  // namespace
}  // namespace weft::hbone
