// Tunnels over real TLS, both ends ours.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/hbone_rig.h"
#include "tests/support/tls_rig.h"
#include "userspace-proxy/hbone/tls_securer.h"

namespace weft::hbone {
namespace {

struct TlsTunnelTest : ::testing::Test, test::HboneRig {
  TlsTunnelTest() : near(clock), far(clock) {
    for (auto* node : {&near, &far}) node->contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 1)).value();
    near.contexts->set(give(caller)).value();
    far.contexts->set(give(server)).value();
    dialer = std::make_unique<TunnelDialer>(engine(), tcp, tls_securer);
  }
  ~TlsTunnelTest() override {
    accepted.clear();
    tunnels.clear();
    dialer.reset();
    turn();
  }
  tls::CredentialPtr give(const model::SpiffeId& id, int64_t life = 3600) {
    const int64_t now = clock.wall_now().time_since_epoch().count() / 1'000'000'000;
    return test::credential_of(ca.issue({.uris = {id.to_string()}, .not_before = now - 300, .not_after = now + life}),
                               id);
  }
  // Takes connections that have arrived through TLS into tunnels.
  void serve_tls() {
    for (int i = 0; i < 6; ++i) {
      turn();
      while (!tcp.arrived.empty()) {
        shaken.push_back(std::make_unique<test::Shaken>());
        shaken.back()->handshake = *tls::Handshake::start(*loop, *far.contexts, std::move(tcp.arrived.front()),
                                                          {.role = tls::Role::kServer, .identity = server},
                                                          *shaken.back());
        tcp.arrived.pop_front();
      }
      turn();
      for (auto& each : shaken)
        if (each->good() && each->value().transport) accept(std::move(each->value().transport));
    }
  }
  test::TestCa ca;
  test::TlsNode near, far;
  TlsSecurer tls_securer{*loop, *near.contexts};
  std::vector<std::unique_ptr<test::Shaken>> shaken;
};

TEST_F(TlsTunnelTest, bytes_pass_and_ends_are_ends) {
  accept_all = true;
  auto dialled = dial();
  serve_tls();
  ASSERT_NE(dialled->transport, nullptr);
  test::Reader app(std::move(dialled->transport), *loop);
  const std::string bytes(6u << 20, 'x');
  app.say(bytes);
  turn(400);
  EXPECT_EQ(accepted[0]->got.size(), bytes.size());
  app.transport->shutdown_write();
  accepted[0]->say("bye");
  accepted[0]->transport->shutdown_write();
  turn();
  EXPECT_TRUE(accepted[0]->ended);
  EXPECT_TRUE(app.ended);
  EXPECT_EQ(app.got, "bye");
}

TEST_F(TlsTunnelTest, a_peer_with_another_identity_is_an_identity_error) {
  const model::SpiffeId other{"cluster.local", "shop", "other"};
  test::Dialled dialled;
  dialled.dial = source().dial({.pod = "dev/caller",
                                .source = caller,
                                .destination = destination,
                                .accepted = {&other, 1},
                                .authority = "10.1.0.2:80"},
                               dialled);
  serve_tls();
  ASSERT_TRUE(dialled.error.has_value());
  EXPECT_EQ(flag_of(*dialled.error), observe::Flag::kIdentityError);
  EXPECT_NE(dialled.error->what.find("10.1.0.2:15008"), std::string::npos);
}

TEST_F(TlsTunnelTest, without_a_certificate_of_ours_it_is_an_identity_error) {
  near.contexts->forget(caller);
  auto dialled = dial();
  turn(30);
  ASSERT_TRUE(dialled->error.has_value());
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kIdentityError);
}

TEST_F(TlsTunnelTest, a_bundle_without_the_peers_root_cuts_the_tunnel) {
  accept_all = true;
  auto dialled = dial();
  serve_tls();
  test::Reader app(std::move(dialled->transport), *loop);
  const test::TestCa another("another root");
  const auto bundle = test::bundle_of(another.certificate_pem(), 2);
  source().on_bundle([&](const tls::PeerProof& proof) { return proof.still_holds(*bundle); });
  turn(30);
  EXPECT_EQ(app.failure, ECONNRESET);
  EXPECT_EQ(counters.hbone_bundle_cut, 1u);
  EXPECT_EQ(source().tunnels(), 0u);
}

TEST_F(TlsTunnelTest, a_tunnel_retires_before_the_shorter_lived_certificate_expires) {
  accept_all = true;
  far.contexts->set(give(server, 120)).value();
  auto first = dial();
  serve_tls();
  ASSERT_NE(first->transport, nullptr);
  pass_in_steps(base::Millis(100'000));
  EXPECT_EQ(counters.hbone_tunnels_expired, 0u);
  pass_in_steps(base::Millis(15'000));
  EXPECT_EQ(counters.hbone_tunnels_expired, 1u);
}

}  // namespace
}  // namespace weft::hbone
