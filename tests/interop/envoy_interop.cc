// Envoy against weft's HBONE, both ways (scripts/interop-envoy; the program's path is in WEFT_ENVOY).
//
//   weft --HTTP/2 CONNECT, mTLS--> Envoy (connect terminator) --TCP--> application
//   application --TCP--> Envoy (tcp_proxy, tunneling_config) --HTTP/2 CONNECT, mTLS--> weft
#include <stdlib.h>

#include "tests/interop/envoy_config.h"
#include "tests/support/stock_rig.h"

namespace weft::hbone {
namespace {

using test::Application;
using test::Carried;
using test::holds;
using std::chrono::seconds;

struct EnvoyTest : ::testing::Test, test::StockRig {
  void SetUp() override { ASSERT_NE(getenv("WEFT_ENVOY"), nullptr) << "run scripts/interop-envoy"; }
  uint16_t start(std::string (*config)(const test::EnvoyConfig&), uint16_t next, const std::string& target = "") {
    admin = test::free_port();
    const uint16_t there = test::free_port();
    save("envoy.yaml", config({.dir = dir.path(), .peer = ours.to_string(), .admin = admin, .listen = there,
                               .next = next, .authority = target}));
    envoy = std::make_unique<test::Background>(
        std::vector<std::string>{getenv("WEFT_ENVOY"), "-c", dir / "envoy.yaml", "--concurrency", "1",
                                 "--disable-hot-restart", "--drain-time-s", "30", "--drain-strategy", "immediate"},
        dir / "envoy.log");
    // Not by connecting: a connection to an originator is a request at our door.
    EXPECT_TRUE(test::eventually([&] { return holds(envoy->said(), "starting main dispatch loop"); })) << envoy->said();
    return there;
  }
  uint16_t terminator() { return start(test::envoy_terminator, app_port); }
  uint16_t originator(const std::string& target = "127.0.0.1:8080") {
    return start(test::envoy_originator, port, target);
  }
  void wait(seconds time) {
    until([] { return false; }, time);
  }
  // Both ends of a stream of ours that Envoy ends.
  struct Ends {
    std::unique_ptr<Carried> near;
    Application* far = nullptr;
  };
  Ends out(uint16_t there) {
    Ends ends{.near = stream(there)};
    if (ends.near) ends.far = taken();
    EXPECT_NE(ends.far, nullptr);
    return ends;
  }
  // ... and of one that Envoy begins.
  struct Back {
    Application* near;
    Carried* far;
  };
  Back in(uint16_t there) {
    const size_t before = served.size();
    auto& near = calls(there);
    EXPECT_TRUE(until([&] { return served.size() > before; })) << envoy->said();
    return {&near, served.empty() ? nullptr : served.back().get()};
  }
  // An application whose tunnel is refused is closed.
  bool closes(uint16_t there) {
    auto& near = calls(there);
    return until([&] { return near.ended || near.failure != 0; });
  }
  uint16_t admin = 0;
  std::unique_ptr<test::Background> envoy;
};

// ---- Envoy ends what we begin

TEST_F(EnvoyTest, it_ends_a_stream_of_ours_and_bytes_go_both_ways) {
  const auto there = terminator();
  const auto ends = out(there);
  ASSERT_NE(ends.far, nullptr);
  const std::string bytes(32u << 20, 'x');
  ends.near->say(bytes);
  ends.far->to_send = std::string(32u << 20, 'y');
  EXPECT_TRUE(until([&] { return ends.far->got.size() >= bytes.size() && ends.near->got.size() >= bytes.size(); }, seconds(60)));
  EXPECT_TRUE(ends.far->got == bytes);
  EXPECT_TRUE(ends.near->got == ends.far->to_send);
}

TEST_F(EnvoyTest, an_end_of_ours_reaches_its_application_which_answers_and_ends) {
  const auto there = terminator();
  const auto ends = out(there);
  ASSERT_NE(ends.far, nullptr);
  ends.near->say("question");
  ends.near->finish();
  EXPECT_TRUE(until([&] { return ends.far->ended; }));
  EXPECT_EQ(ends.far->got, "question");
  ends.far->to_send = "answer";
  ends.far->finishing = true;
  EXPECT_TRUE(until([&] { return ends.near->ended || ends.near->failure; }));
  EXPECT_EQ(ends.near->got, "answer");
  EXPECT_EQ(ends.near->failure, 0);
}

TEST_F(EnvoyTest, an_end_of_its_application_is_an_end_and_no_failure) {
  const auto there = terminator();
  const auto ends = out(there);
  ASSERT_NE(ends.far, nullptr);
  ends.far->to_send = "all there is";
  ends.far->finishing = true;
  EXPECT_TRUE(until([&] { return ends.near->ended || ends.near->failure; }));
  EXPECT_EQ(ends.near->got, "all there is");
  EXPECT_EQ(ends.near->failure, 0);
}

TEST_F(EnvoyTest, a_reset_of_its_application_is_a_reset_here_and_the_tunnel_lives_on) {
  const auto there = terminator();
  const auto ends = out(there);
  ASSERT_NE(ends.far, nullptr);
  ends.far->to_send = "part";
  EXPECT_TRUE(until([&] { return ends.near->got == "part"; }));
  ends.far->reset();
  EXPECT_TRUE(until([&] { return ends.near->ended || ends.near->failure; }));
  EXPECT_EQ(ends.near->failure, ECONNRESET) << "cut off data must not look whole";
  EXPECT_NE(out(there).far, nullptr);
  EXPECT_EQ(dialer->tunnels(), 1u);
}

// With a FIN: Envoy 1.40 makes no RST of CONNECT_ERROR, whichever end of the tunnel it is. Where it begins the tunnel it
// would make one of INTERNAL_ERROR; RFC 9113 8.5 wants CONNECT_ERROR (tried 2026-11-30).
TEST_F(EnvoyTest, a_reset_of_ours_ends_its_application_and_the_tunnel_lives_on) {
  const auto there = terminator();
  const auto ends = out(there);
  ASSERT_NE(ends.far, nullptr);
  ends.near->transport->reset();
  EXPECT_TRUE(until([&] { return ends.far->ended || ends.far->failure; }));
  EXPECT_NE(out(there).far, nullptr);
  EXPECT_EQ(dialer->tunnels(), 1u);
}

TEST_F(EnvoyTest, many_streams_spread_over_tunnels_within_its_limit) {
  const auto there = terminator();
  std::vector<Ends> all;
  for (int i = 0; i < 250; ++i) {
    all.push_back(out(there));
    ASSERT_NE(all.back().far, nullptr) << i;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].near->say("to " + std::to_string(i));
    all[i].far->to_send = "from " + std::to_string(i);
  }
  EXPECT_TRUE(until([&] {
    return std::ranges::all_of(all, [&](const Ends& each) {
      const auto i = std::to_string(&each - all.data());
      return each.far->got == "to " + i && each.near->got == "from " + i;
    });
  }));
  EXPECT_GE(dialer->tunnels(), 3u);
  EXPECT_LE(dialer->tunnels(), 4u);
}

TEST_F(EnvoyTest, its_drain_moves_new_streams_to_a_new_tunnel_and_old_ones_finish) {
  const auto there = terminator();
  const auto old = out(there);
  ASSERT_NE(old.far, nullptr);
  const auto asked = beside({"curl", "-sS", "-X", "POST", "http://127.0.0.1:" + std::to_string(admin) +
                                                              "/drain_listeners?graceful"});
  ASSERT_TRUE(asked.ok()) << asked.err;
  const auto last = out(there);  // its answer brings the GOAWAY
  ASSERT_NE(last.far, nullptr);
  wait(seconds(1));
  const auto fresh = out(there);
  ASSERT_NE(fresh.far, nullptr);
  EXPECT_GE(counters.hbone_tunnels_opened, 2u);
  for (const Ends* each : {&old, &last, &fresh}) each->near->say("still here");
  EXPECT_TRUE(until([&] {
    return old.far->got == "still here" && last.far->got == "still here" && fresh.far->got == "still here";
  }));
}

TEST_F(EnvoyTest, a_name_it_does_not_expect_of_us_is_a_failure_of_tls) {
  be(ca.issue({.uris = {"spiffe://cluster.local/ns/shop/sa/other"}}));
  const auto dialled = dial(terminator());
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kTlsFailure) << base::describe(*dialled->error);
}

TEST_F(EnvoyTest, an_envoy_with_another_name_gets_no_request) {
  save_identity(ca.issue({.uris = {"spiffe://other.domain/ns/dev/sa/caller"}}));
  const auto dialled = dial(terminator());
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kIdentityError) << base::describe(*dialled->error);
}

TEST_F(EnvoyTest, an_application_that_it_cannot_reach_is_a_refused_stream) {
  app.reset();
  const auto dialled = dial(terminator());
  ASSERT_TRUE(dialled->error);
  EXPECT_TRUE(holds(dialled->error->what, "503")) << base::describe(*dialled->error);
}

// ---- we end what Envoy begins

TEST_F(EnvoyTest, it_begins_a_stream_and_bytes_go_both_ways) {
  const auto there = originator();
  const auto [near, far] = in(there);
  ASSERT_NE(far, nullptr);
  EXPECT_EQ(seen_identity, theirs.to_string());
  EXPECT_EQ(seen_authority, "127.0.0.1:8080");
  near->to_send = std::string(32u << 20, 'x');
  EXPECT_TRUE(until([n = near] { return n->got.size() >= n->to_send.size(); }, seconds(60)));
  EXPECT_TRUE(near->got == near->to_send);
}

TEST_F(EnvoyTest, an_end_of_its_application_reaches_us_and_we_may_still_answer) {
  serves = Carried::Does::kTalk;
  const auto there = originator();
  const auto [near, far] = in(there);
  ASSERT_NE(far, nullptr);
  near->to_send = "question";
  near->finishing = true;
  EXPECT_TRUE(until([f = far] { return f->ended; }));
  EXPECT_EQ(far->got, "question");
  far->say("answer");
  far->finish();
  EXPECT_TRUE(until([n = near] { return n->ended || n->failure; }));
  EXPECT_EQ(near->got, "answer");
  EXPECT_EQ(near->failure, 0);
}

TEST_F(EnvoyTest, an_end_of_ours_reaches_its_application) {
  serves = Carried::Does::kTalk;
  const auto there = originator();
  const auto [near, far] = in(there);
  ASSERT_NE(far, nullptr);
  far->say("all there is");
  far->finish();
  EXPECT_TRUE(until([n = near] { return n->ended || n->failure; }));
  EXPECT_EQ(near->got, "all there is");
  EXPECT_EQ(near->failure, 0);
}

TEST_F(EnvoyTest, a_reset_of_its_application_is_felt_and_the_tunnel_lives_on) {
  serves = Carried::Does::kTalk;
  const auto there = originator();
  const auto [near, far] = in(there);
  ASSERT_NE(far, nullptr);
  near->reset();
  EXPECT_TRUE(until([f = far] { return f->ended || f->failure; }));
  EXPECT_EQ(far->failure, ECONNRESET);
  EXPECT_NE(in(there).far, far);
  EXPECT_EQ(counters.hbone_tunnels_accepted, 1u);
}

TEST_F(EnvoyTest, a_reset_of_ours_ends_the_application_behind_it_and_the_tunnel_lives_on) {
  serves = Carried::Does::kTalk;
  const auto there = originator();
  const auto [near, far] = in(there);
  ASSERT_NE(far, nullptr);
  far->say("part");
  EXPECT_TRUE(until([n = near] { return n->got == "part"; }));
  far->transport->reset();
  EXPECT_TRUE(until([n = near] { return n->ended || n->failure; }));
  EXPECT_NE(in(there).far, far);
  EXPECT_EQ(counters.hbone_tunnels_accepted, 1u);
}

TEST_F(EnvoyTest, many_of_its_streams_are_served) {
  const auto there = originator();
  std::vector<Application*> all = {in(there).near};  // it asks for any number before it has read our limit
  while (all.size() < 250) all.push_back(&calls(there));
  for (size_t i = 0; i < all.size(); ++i) all[i]->to_send = "stream " + std::to_string(i);
  EXPECT_TRUE(until([&] { return std::ranges::all_of(all, [](auto* each) { return each->got == each->to_send; }); },
                    seconds(30)));
  EXPECT_EQ(served.size(), all.size());
  EXPECT_LE(counters.hbone_tunnels_accepted, 3u);
}

TEST_F(EnvoyTest, our_drain_moves_its_new_streams_to_a_new_tunnel_and_old_ones_finish) {
  const auto there = originator();
  auto* old = in(there).near;
  for (auto& each : tunnels) each->drain();
  wait(seconds(2));
  auto* fresh = in(there).near;
  old->to_send = fresh->to_send = "still here";
  EXPECT_TRUE(until([&] { return old->got == "still here" && fresh->got == "still here"; })) << old->got << fresh->got;
  EXPECT_EQ(counters.hbone_tunnels_accepted, 2u);
}

TEST_F(EnvoyTest, a_tunnel_that_we_abort_ends_its_application) {
  const auto there = originator();
  auto* near = in(there).near;
  near->to_send = "x";
  EXPECT_TRUE(until([&] { return near->got == "x"; }));
  tunnels[0]->abort();
  EXPECT_TRUE(until([&] { return near->ended || near->failure; }));
}

TEST_F(EnvoyTest, our_refusals_close_its_application) {
  const auto there = originator();
  for (const auto status : {Refusal::kDenied, Refusal::kUnavailable}) {
    refuse = status;
    EXPECT_TRUE(closes(there));
  }
  EXPECT_EQ(counters.hbone_refused_denied, 1u);
  EXPECT_TRUE(served.empty());
}

TEST_F(EnvoyTest, its_requests_for_other_pods_and_for_ports_of_the_proxy_are_refused) {
  for (const std::string target : {"10.1.2.3:80", "127.0.0.1:15006"}) EXPECT_TRUE(closes(originator(target)));
  EXPECT_EQ(refused.size(), 2u);
  EXPECT_EQ(counters.hbone_refused_bad_request, 1u);
  EXPECT_EQ(counters.hbone_refused_unavailable, 1u);
}

TEST_F(EnvoyTest, an_envoy_of_another_trust_domain_reaches_no_tunnel) {
  save_identity(ca.issue({.uris = {"spiffe://other.domain/ns/dev/sa/caller"}}));
  EXPECT_TRUE(closes(originator()));
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
  ASSERT_FALSE(failures.empty());
  EXPECT_TRUE(holds(failures[0], "wrong trust domain")) << failures[0];
}

TEST_F(EnvoyTest, a_name_of_ours_that_it_does_not_expect_is_told_as_its_refusal) {
  be(ca.issue({.uris = {"spiffe://cluster.local/ns/shop/sa/other"}}));
  EXPECT_TRUE(closes(originator()));
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
  ASSERT_FALSE(failures.empty());
  EXPECT_TRUE(holds(failures[0], "alert")) << failures[0];
}

}  // namespace
}  // namespace weft::hbone
