// The pool of tunnels: sharing, company for busy ones, failures and their names, retirement.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/hbone_rig.h"
#include "tests/unit/proxy/http/h2_peer.h"

namespace weft::hbone {
namespace {

using http::H2Peer;
using observe::Flag;
using test::HboneRig;

struct DialerTest : ::testing::Test, HboneRig {
  // A destination played by hand on the next TCP connection.
  H2Peer& hand(std::vector<nghttp2_settings_entry> settings = {}) {
    turn();
    CHECK(!tcp.arrived.empty());
    ends.push_back(std::move(tcp.arrived.front()));
    tcp.arrived.pop_front();
    peers.push_back(std::make_unique<H2Peer>(*ends.back(), true, false, std::move(settings)));
    run();
    return *peers.back();
  }
  void run() {
    for (int i = 0; i < 3; ++i)
      for (auto& peer : peers) peer->run([&] { turn(3); });
  }
  std::vector<std::unique_ptr<test::PairEnd>> ends;
  std::vector<std::unique_ptr<H2Peer>> peers;
};

TEST_F(DialerTest, a_dial_goes_to_the_destination_from_the_pod_and_says_what_it_was_told) {
  auto dialled = dial();
  auto& peer = hand();
  ASSERT_EQ(tcp.dialled.size(), 1u);
  EXPECT_EQ(tcp.dialled[0].first, "dev/caller");
  EXPECT_EQ(tcp.dialled[0].second, destination);
  auto& stream = peer.streams[1];
  EXPECT_EQ(stream.get(":method"), "CONNECT");
  EXPECT_EQ(stream.get(":authority"), "10.1.0.2:80");
  EXPECT_EQ(stream.get("baggage"), "k8s.namespace.name=dev");
  EXPECT_EQ(stream.get("forwarded"), "for=\"10.0.0.9:40000\"");
  EXPECT_EQ(stream.headers.size(), 4u);  // no :scheme, :path, :protocol, no empty traceparent
  EXPECT_EQ(dialled->told, 0);
  peer.respond(1, {{":status", "200"}}, "hello", false);
  run();
  ASSERT_NE(dialled->transport, nullptr);
  test::Reader app(std::move(dialled->transport), *loop);
  run();
  EXPECT_EQ(app.got, "hello");
}

TEST_F(DialerTest, dials_of_one_key_share_a_tunnel_and_one_handshake) {
  accept_all = true;
  std::vector<std::unique_ptr<test::Dialled>> dials;
  for (int i = 0; i < 10; ++i) dials.push_back(dial());
  serve();
  for (auto& each : dials) EXPECT_NE(each->transport, nullptr);
  EXPECT_EQ(securer.handshakes, 1);
  EXPECT_EQ(source().tunnels(), 1u);
  EXPECT_EQ(source().streams(), 10u);
  EXPECT_EQ(counters.hbone_tunnels_opened, 1u);
  EXPECT_EQ(counters.hbone_streams_opened, 10u);
}

TEST_F(DialerTest, another_pod_never_shares) {
  accept_all = true;
  auto first = dial("dev/a"), second = dial("dev/b");
  serve();
  EXPECT_EQ(securer.handshakes, 2);
  EXPECT_EQ(source().tunnels(), 2u);
}

TEST_F(DialerTest, a_busy_tunnel_gets_company_up_to_the_bound) {
  accept_all = true;
  std::vector<std::unique_ptr<test::Dialled>> dials;
  for (int i = 0; i < 90; ++i) {
    dials.push_back(dial());
    serve();
  }
  EXPECT_EQ(source().tunnels(), limits.tunnels_per_key);
  EXPECT_EQ(source().streams(), 90u);
  for (auto& tunnel : tunnels) EXPECT_GE(tunnel->streams(), 16u);
}

TEST_F(DialerTest, full_tunnels_make_a_further_one_beyond_the_bound_for_busy_ones) {
  accept_all = true;
  limits.tunnels_per_key = 1;
  std::vector<std::unique_ptr<test::Dialled>> dials;
  for (int i = 0; i < 150; ++i) dials.push_back(dial());
  serve();
  serve();
  EXPECT_EQ(source().tunnels(), 2u);
  for (auto& each : dials) EXPECT_NE(each->transport, nullptr);
}

TEST_F(DialerTest, a_peer_that_admits_fewer_streams_gets_fewer) {
  auto first = dial(), second = dial(), third = dial();
  auto& peer = hand({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2}});
  EXPECT_EQ(peer.streams.size(), 2u);
  EXPECT_EQ(securer.handshakes, 2);  // another tunnel for the third
}

TEST_F(DialerTest, a_cancelled_dial_takes_its_request_back_and_tells_nobody) {
  auto dialled = dial();
  auto& peer = hand();
  dialled->dial.reset();
  run();
  EXPECT_TRUE(peer.streams[1].closed);
  EXPECT_EQ(peer.streams[1].error, NGHTTP2_CANCEL);
  EXPECT_EQ(dialled->told, 0);
}

TEST_F(DialerTest, failures_have_names) {
  const auto flag_after = [&](auto&& prepare) {
    auto dialled = dial();
    prepare();
    turn(30);
    EXPECT_EQ(dialled->told, 1);
    EXPECT_TRUE(dialled->error.has_value());
    EXPECT_FALSE(dialled->error->what.empty());
    return flag_of(*dialled->error);
  };
  tcp.refuse = base::Error{base::ErrorKind::kTimeout, base::Side::kDestination, ETIMEDOUT, "connect"};
  EXPECT_EQ(flag_after([] {}), Flag::kNetworkPolicy);
  tcp.refuse = base::Error{base::ErrorKind::kSystem, base::Side::kDestination, ECONNREFUSED, "connect"};
  EXPECT_EQ(flag_after([] {}), Flag::kConnect);
  tcp.refuse.reset();
  securer.refuse = base::Error{base::ErrorKind::kUntrusted, base::Side::kDestination, 0, "presented X, expected Y"};
  EXPECT_EQ(flag_after([] {}), Flag::kIdentityError);
  securer.refuse = base::Error{base::ErrorKind::kClosed, base::Side::kDestination, 0, "broken off"};
  EXPECT_EQ(flag_after([] {}), Flag::kTlsFailure);
  securer.refuse.reset();
  securer.hold = true;
  EXPECT_EQ(flag_after([&] {
              turn();
              pass(base::Millis(10'100));
            }),
            Flag::kTlsFailure);
  securer.hold = false;
  EXPECT_EQ(flag_after([&] {
              turn();
              tcp.arrived.back()->send("HTTP/1.1 400 Bad Request\r\n\r\n");
            }),
            Flag::kHandshakeFailure);
  tcp.arrived.clear();
  EXPECT_EQ(flag_after([&] {
              turn();
              pass(base::Millis(10'100));
            }),
            Flag::kHandshakeFailure);
  EXPECT_EQ(source().tunnels(), 0u);
}

// A connection whose peer has refused our certificate and closed, its alert not yet read.
struct RefusedTransport final : base::Transport, private base::IoHandler {
  ~RefusedTransport() override {
    if (loop != nullptr) loop->forget(this);
  }
  base::Status attach(base::Loop& its_loop, base::TransportHandler* its_handler) override {
    loop = &its_loop;
    handler = its_handler;
    return {};
  }
  base::Io read(std::span<char>) override {
    if (!heard) return {};
    return {base::Io::Kind::kError, 0, ECONNABORTED};
  }
  base::Io write(std::span<const iovec>) override {
    if (!heard) loop->again(this);
    return {base::Io::Kind::kError, 0, EPIPE};
  }
  void shutdown_write() override {}
  void reset() override { loop->forget(this); }
  void on_io(uint32_t) override {
    heard = true;
    handler->on_readable();
  }
  base::Loop* loop = nullptr;
  base::TransportHandler* handler = nullptr;
  bool heard = false;
};

TEST_F(DialerTest, an_alert_that_our_first_frames_overtake_is_still_heard) {
  securer.instead = std::make_unique<RefusedTransport>();
  auto dialled = dial();
  turn(30);
  ASSERT_TRUE(dialled->error.has_value());
  EXPECT_EQ(flag_of(*dialled->error), Flag::kTlsFailure) << base::describe(*dialled->error);
  EXPECT_EQ(source().tunnels(), 0u);
}

TEST_F(DialerTest, answers_other_than_200_fail_and_401_is_a_denial) {
  for (const auto& [status, flag] : {std::pair{"401", Flag::kDeny}, {"503", Flag::kConnect}, {"400", Flag::kConnect},
                                     {"201", Flag::kConnect}}) {
    auto dialled = dial();
    if (peers.empty()) hand();
    run();
    auto& peer = *peers.front();
    const auto id = peer.streams.rbegin()->first;
    peer.respond(id, {{":status", status}});
    run();
    ASSERT_TRUE(dialled->error.has_value()) << status;
    EXPECT_EQ(flag_of(*dialled->error), flag) << status;
  }
  EXPECT_EQ(counters.hbone_refused_by_peer, 4u);
  EXPECT_EQ(source().streams(), 0u);
}

TEST_F(DialerTest, no_answer_in_time_fails) {
  auto dialled = dial();
  hand();
  for (int i = 0; i < 5; ++i) {
    pass(base::Millis(4'100));
    run();
  }
  ASSERT_TRUE(dialled->error.has_value());
  EXPECT_EQ(flag_of(*dialled->error), Flag::kConnect);
}

TEST_F(DialerTest, goaway_moves_new_dials_to_a_new_tunnel_and_old_streams_finish) {
  accept_all = true;
  auto first = dial();
  serve();
  EXPECT_FALSE(first->transport->ends_soon());
  tunnels[0]->drain();
  serve();
  auto second = dial();
  serve();
  ASSERT_NE(second->transport, nullptr);
  EXPECT_TRUE(first->transport->ends_soon());
  EXPECT_FALSE(second->transport->ends_soon());
  EXPECT_EQ(securer.handshakes, 2);
  EXPECT_EQ(source().tunnels(), 2u);
  test::Reader app(std::move(first->transport), *loop);
  app.say("still here");
  serve();
  EXPECT_EQ(accepted[0]->got, "still here");
  app.transport->shutdown_write();
  accepted[0]->transport->shutdown_write();
  serve();
  EXPECT_EQ(source().tunnels(), 1u);
}

TEST_F(DialerTest, a_request_refused_by_a_goaway_is_sent_again) {
  auto dialled = dial();
  auto& first = hand();
  nghttp2_submit_goaway(first.raw(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  run();
  auto& second = hand();
  second.respond(1, {{":status", "200"}}, "", false);
  run();
  EXPECT_NE(dialled->transport, nullptr);
}

TEST_F(DialerTest, a_tunnel_that_died_unseen_costs_no_request) {
  accept_all = true;
  auto first = dial();
  serve();
  first->transport->reset();
  first->transport.reset();
  serve();
  tunnels.clear();  // the destination's proxy is killed
  auto second = dial();
  serve();
  EXPECT_NE(second->transport, nullptr);
  EXPECT_EQ(securer.handshakes, 2);
}

TEST_F(DialerTest, a_tunnel_of_age_takes_no_stream_and_ends_with_its_last) {
  accept_all = true;
  securer.max_age = base::Millis(60'000);
  auto first = dial();
  serve();
  pass_in_steps(base::Millis(65'000));
  EXPECT_EQ(counters.hbone_tunnels_expired, 1u);
  auto second = dial();
  serve();
  EXPECT_EQ(securer.handshakes, 2);
  EXPECT_EQ(source().tunnels(), 2u);
  first->transport.reset();
  serve();
  EXPECT_EQ(source().tunnels(), 1u);
}

TEST_F(DialerTest, an_unused_tunnel_goes_after_five_minutes) {
  accept_all = true;
  auto first = dial();
  serve();
  first->transport.reset();
  serve();
  pass_in_steps(base::Millis(280'000));
  EXPECT_EQ(source().tunnels(), 1u);
  pass_in_steps(base::Millis(40'000));
  EXPECT_EQ(source().tunnels(), 0u);
  EXPECT_TRUE(tunnels.empty());
}

TEST_F(DialerTest, a_forgotten_identity_or_pod_keeps_its_streams_and_fails_its_dials) {
  accept_all = true;
  auto open = dial("dev/a");
  serve();
  test::Reader app(std::move(open->transport), *loop);
  serve();
  source().forget_pod("dev/a");
  source().forget_identity(caller);
  pass_in_steps(base::Millis(5'000));
  EXPECT_EQ(app.failure, 0) << "what runs goes on";
  EXPECT_EQ(source().tunnels(), 1u);
  securer.hold = true;
  auto waiting = dial("dev/c");
  turn();
  source().forget_identity(caller);
  securer.hold = false;
  serve();
  ASSERT_TRUE(waiting->error.has_value());
  EXPECT_EQ(flag_of(*waiting->error), Flag::kIdentityError);
}

TEST_F(DialerTest, a_forgotten_pods_tunnel_ends_with_its_last_stream) {
  accept_all = true;
  auto open = dial("dev/a"), other = dial("dev/b");
  serve();
  source().forget_pod("dev/a");
  serve();
  EXPECT_EQ(source().tunnels(), 2u);
  open->transport.reset();
  pass_in_steps(base::Millis(5'000));
  EXPECT_EQ(source().tunnels(), 1u) << "the other pod's";
}

TEST_F(DialerTest, a_new_bundle_begins_handshakes_anew) {
  accept_all = true;
  securer.hold = true;
  auto dialled = dial();
  turn();
  source().on_bundle([](const tls::PeerProof&) { return true; });
  securer.hold = false;
  serve();
  EXPECT_EQ(securer.handshakes, 2);
  EXPECT_NE(dialled->transport, nullptr);
  EXPECT_EQ(source().tunnels(), 1u);
}

TEST_F(DialerTest, a_renewed_certificate_moves_new_dials_to_new_tunnels) {
  accept_all = true;
  auto first = dial();
  serve();
  source().renew(caller);
  auto second = dial();
  serve();
  EXPECT_EQ(securer.handshakes, 2);
  EXPECT_NE(second->transport, nullptr);
  test::Reader app(std::move(first->transport), *loop);
  app.say("x");
  serve();
  EXPECT_EQ(accepted[0]->got, "x");
}

TEST_F(DialerTest, tunnels_are_bounded) {
  limits.tunnels_total = 1;
  accept_all = true;
  auto first = dial("dev/a"), second = dial("dev/b");
  serve();
  EXPECT_NE(first->transport, nullptr);
  ASSERT_TRUE(second->error.has_value());
  EXPECT_EQ(flag_of(*second->error), Flag::kOverflow);
}

TEST_F(DialerTest, dials_that_wait_are_bounded) {
  limits.waiting_per_key = 3;
  securer.hold = true;
  std::vector<std::unique_ptr<test::Dialled>> dials;
  for (int i = 0; i < 5; ++i) dials.push_back(dial());
  turn();
  EXPECT_EQ(dials[2]->told, 0);
  ASSERT_TRUE(dials[3]->error.has_value());
  EXPECT_EQ(flag_of(*dials[4]->error), Flag::kOverflow);
}

TEST_F(DialerTest, company_that_cannot_be_had_is_asked_for_rarely_and_fails_nobody) {
  accept_all = true;
  std::vector<std::unique_ptr<test::Dialled>> dials;
  dials.push_back(dial());
  serve();
  tcp.refuse = base::Error{base::ErrorKind::kSystem, base::Side::kDestination, ECONNREFUSED, "connect"};
  for (int i = 0; i < 60; ++i) {
    dials.push_back(dial());
    serve();
  }
  for (auto& each : dials) EXPECT_NE(each->transport, nullptr);
  EXPECT_EQ(tcp.dialled.size(), 2u);
  pass(base::Millis(2'100));
  dials.push_back(dial());
  serve();
  EXPECT_EQ(tcp.dialled.size(), 3u);
}

TEST_F(DialerTest, a_handler_may_dial_again_from_its_failure) {
  struct Again final : connect::DialHandler {
    explicit Again(DialerTest& its_test) : test(its_test) {}
    void on_dialled(base::Result<std::unique_ptr<base::Transport>>) override {
      if (++told < 3) next.push_back(test.dial());
    }
    DialerTest& test;
    int told = 0;
    std::vector<std::unique_ptr<test::Dialled>> next;
  } handler(*this);
  tcp.refuse = base::Error{base::ErrorKind::kSystem, base::Side::kDestination, ECONNREFUSED, "connect"};
  auto first = source().dial({.pod = "dev/caller",
                              .source = caller,
                              .destination = destination,
                              .accepted = {&server, 1},
                              .authority = "10.1.0.2:80"},
                             handler);
  turn(40);
  EXPECT_EQ(handler.told, 1);
  ASSERT_EQ(handler.next.size(), 1u);
  EXPECT_TRUE(handler.next[0]->error.has_value());
}

}  // namespace
}  // namespace weft::hbone
