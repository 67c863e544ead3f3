#include "userspace-proxy/tls/handshake.h"

#include <gtest/gtest.h>

#include "tests/support/tls_rig.h"
#include "tests/unit/proxy/tls/raw_peer.h"

namespace weft::tls {
namespace {

using base::ErrorKind;
using test::RawPeer;
using test::Shaken;
using test::spiffe;
using test::has;

struct HandshakeTest : testing::Test, test::TlsRig {
  // A peer of ours against a raw one, until both stand still.
  void against(RawPeer& raw, Shaken& ours, HandshakeRequest request) {
    test::TransportPair pair;
    raw.begin(std::move(pair.far));
    start(raw.server_role ? client : server, ours, std::move(pair.near), std::move(request));
    for (int i = 0; i < 8; ++i) {
      turn(2);
      raw.step();
    }
    turn();
  }
  // Our server against a raw client with this certificate.
  std::string served(const test::Issued& issued) {
    RawPeer raw(false, &issued);
    Shaken ours;
    against(raw, ours, as_server());
    last_alert = raw.alert();
    return ours.text();
  }
  // Our client against a raw server with this certificate.
  std::string asked(const test::Issued& issued) {
    RawPeer raw(true, &issued);
    Shaken ours;
    against(raw, ours, as_client());
    last_alert = raw.alert();
    return ours.text();
  }
  int last_alert = 0;
};

TEST_F(HandshakeTest, both_sides_prove_who_they_are) {
  const auto both = shake();
  ASSERT_TRUE(both->good()) << both->client.text() << " / " << both->server.text();
  EXPECT_EQ(both->client.value().peer.id, b);
  EXPECT_EQ(both->server.value().peer.id, a);
  for (const auto* peer : {&both->client.value().peer, &both->server.value().peer}) {
    EXPECT_TRUE(peer->weft);
    EXPECT_FALSE(peer->resumed);
    EXPECT_EQ(peer->bundle_generation, 1u);
    EXPECT_EQ(peer->established, clock.wall_now());
    EXPECT_EQ(peer->not_after, base::WallTime(std::chrono::seconds(wall() + 3600)));
  }
  EXPECT_EQ(client.counters.tls_handshakes_full, 1u);
  EXPECT_EQ(server.counters.tls_handshakes_full, 1u);
}

TEST_F(HandshakeTest, it_speaks_tls_1_3_with_aes_gcm_and_h2_and_names_no_host) {
  const auto issued = ca.issue(spec(b));
  RawPeer raw(true, &issued);
  Shaken ours;
  against(raw, ours, as_client());
  ASSERT_TRUE(ours.good()) << ours.text();
  EXPECT_STREQ(SSL_get_version(raw.ssl), "TLSv1.3");
  EXPECT_STREQ(SSL_get_cipher_name(raw.ssl), "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(raw.offered, std::vector<std::string>{"h2"});
  EXPECT_EQ(SSL_get_servername(raw.ssl, TLSEXT_NAMETYPE_host_name), nullptr);
  EXPECT_EQ(raw.identity(), a.to_string());
  EXPECT_FALSE(ours.value().peer.weft);
}

TEST_F(HandshakeTest, a_server_refuses_every_client_that_does_not_prove_an_identity) {
  auto expired = spec(a), early = spec(a), foreign = spec(spiffe("spiffe://other.local/ns/shop/sa/a")), two = spec(a),
       none = spec(a), usage = spec(a), odd = spec(a);
  expired.not_after = wall() - 1;
  early.not_before = wall() + 60;
  two.uris.push_back(b.to_string());
  none.uris.clear();
  none.dns = {"a.example"};
  usage.extended_key_usage = "serverAuth";
  odd.uris = {"spiffe://cluster.local/workload/a"};
  EXPECT_TRUE(has(served(ca.issue(expired)), "untrusted: certificate expired at 2023-11-14T22:13:1"));
  EXPECT_EQ(last_alert, SSL_AD_CERTIFICATE_EXPIRED);
  EXPECT_TRUE(has(served(ca.issue(early)), "untrusted: certificate not yet valid before 2023"));
  EXPECT_TRUE(has(served(ca.issue(foreign)), "untrusted: wrong trust domain: presented spiffe://other.local/"));
  EXPECT_EQ(last_alert, SSL_AD_BAD_CERTIFICATE);
  EXPECT_TRUE(has(served(ca.issue(two)), "untrusted: the certificate carries more than one URI SAN"));
  EXPECT_TRUE(has(served(ca.issue(none)), "untrusted: the certificate names no SPIFFE id"));
  EXPECT_TRUE(has(served(ca.issue(odd)), "untrusted: the certificate's URI SAN: SPIFFE id: not of the form"));
  EXPECT_TRUE(has(served(ca.issue(usage)), "untrusted: wrong extended key usage"));
  EXPECT_EQ(last_alert, SSL_AD_UNSUPPORTED_CERTIFICATE);
  EXPECT_TRUE(has(served(test::TestCa("another").issue(spec(a))), "untrusted: unknown authority"));
  EXPECT_EQ(last_alert, SSL_AD_UNKNOWN_CA);
  EXPECT_TRUE(has(served(test::TestCa().issue(spec(a))), "untrusted: unknown authority"));
  EXPECT_TRUE(has(served(test::TestCa::self_signed(spec(a))), "untrusted: self-signed"));
  EXPECT_EQ(server.counters.tls_failed_untrusted, 10u);
  EXPECT_EQ(server.counters.tls_handshakes_full, 0u);
  EXPECT_EQ(served(ca.issue(spec(a))), "good");
}

TEST_F(HandshakeTest, a_client_refuses_every_server_but_the_one_it_expects) {
  auto expired = spec(b), early = spec(b), two = spec(b), usage = spec(b);
  expired.not_after = wall() - 1;
  early.not_before = wall() + 60;
  two.uris.push_back(a.to_string());
  usage.extended_key_usage = "clientAuth";
  const auto c = spiffe("spiffe://cluster.local/ns/shop/sa/c");
  EXPECT_TRUE(has(asked(ca.issue(spec(c))), "untrusted: wrong identity: presented " + c.to_string() +
                                                  ", expected " + b.to_string()));
  EXPECT_EQ(last_alert, SSL_AD_BAD_CERTIFICATE);
  EXPECT_TRUE(has(asked(ca.issue(expired)), "untrusted: certificate expired"));
  EXPECT_TRUE(has(asked(ca.issue(early)), "untrusted: certificate not yet valid"));
  EXPECT_TRUE(has(asked(ca.issue(two)), "more than one URI SAN"));
  EXPECT_TRUE(has(asked(ca.issue(usage)), "wrong extended key usage"));
  EXPECT_TRUE(has(asked(test::TestCa("x").issue(spec(b))), "unknown authority"));
  EXPECT_TRUE(has(asked(test::TestCa::self_signed(spec(b))), "self-signed"));
  EXPECT_EQ(client.counters.tls_failed_untrusted, 7u);
  EXPECT_EQ(asked(ca.issue(spec(b))), "good");
}

TEST_F(HandshakeTest, a_client_that_expects_nobody_accepts_nobody) {
  auto request = as_client();
  request.expected.clear();
  const auto both = shake(request, as_server());
  EXPECT_TRUE(has(both->client.text(), "expected nobody"));
}

TEST_F(HandshakeTest, any_of_the_expected_identities_will_do) {
  auto request = as_client();
  request.expected = {spiffe("spiffe://cluster.local/ns/shop/sa/c"), b};
  EXPECT_TRUE(shake(request, as_server())->good());
  request.expected = {spiffe("spiffe://cluster.local/ns/shop/sa/c"), a};
  EXPECT_TRUE(has(shake(request, as_server())->client.text(), "or one of 1 others"));
}

TEST_F(HandshakeTest, certificates_without_usages_an_rsa_key_and_a_chain_are_fine) {
  auto plain = spec(a), rsa = spec(a);
  plain.extended_key_usage.clear();
  plain.key_usage.clear();
  rsa.rsa = true;
  EXPECT_EQ(served(ca.issue(plain)), "good");
  EXPECT_EQ(served(ca.issue(rsa)), "good");
  EXPECT_EQ(served(ca.intermediate("middle").intermediate("low").issue(spec(a))), "good");
}

TEST_F(HandshakeTest, an_intermediate_in_the_bundle_is_an_anchor) {
  const auto middle = ca.intermediate("middle");
  server.contexts->set_bundle(test::bundle_of(middle.certificate_pem(), 2)).value();
  EXPECT_EQ(served(middle.issue(spec(a))), "good");
  EXPECT_TRUE(has(served(ca.issue(spec(a))), "unknown authority"));
}

TEST_F(HandshakeTest, a_client_without_a_certificate_is_refused) {
  RawPeer raw(false, nullptr);
  Shaken ours;
  against(raw, ours, as_server());
  EXPECT_EQ(ours.text(), "untrusted: the peer presented no certificate");
  EXPECT_EQ(raw.alert(), SSL_AD_CERTIFICATE_REQUIRED);
}

TEST_F(HandshakeTest, what_is_not_offered_is_not_accepted) {
  const auto issued = ca.issue(spec(a));
  auto refused = [&](auto&& change) {
    RawPeer raw(false, &issued);
    change(raw.context.get());
    Shaken ours;
    against(raw, ours, as_server());
    EXPECT_EQ(ours.outcome && !*ours.outcome, true);
    EXPECT_EQ(ours.error().kind, ErrorKind::kInvalid) << ours.text();
    return raw.alert();
  };
  EXPECT_EQ(refused([](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION); }), SSL_AD_PROTOCOL_VERSION);
  EXPECT_EQ(refused([](SSL_CTX* c) { SSL_CTX_set_ciphersuites(c, "TLS_CHACHA20_POLY1305_SHA256"); }),
            SSL_AD_HANDSHAKE_FAILURE);
  EXPECT_EQ(refused([](SSL_CTX* c) { SSL_CTX_set_alpn_protos(c, nullptr, 0); }), SSL_AD_NO_APPLICATION_PROTOCOL);
  EXPECT_EQ(refused([](SSL_CTX* c) {
              SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9);
            }),
            SSL_AD_NO_APPLICATION_PROTOCOL);
  EXPECT_EQ(refused([](SSL_CTX* c) { SSL_CTX_set1_groups_list(c, "X448"); }), SSL_AD_HANDSHAKE_FAILURE);
  EXPECT_EQ(server.counters.tls_failed_protocol, 5u);
}

TEST_F(HandshakeTest, every_common_group_works) {
  const auto issued = ca.issue(spec(a));
  for (const char* group : {"X25519", "P-256", "P-384"}) {
    RawPeer raw(false, &issued);
    SSL_CTX_set1_groups_list(raw.context.get(), group);
    Shaken ours;
    against(raw, ours, as_server());
    EXPECT_TRUE(ours.good()) << group << ": " << ours.text();
  }
}

TEST_F(HandshakeTest, a_server_that_chooses_no_protocol_is_refused) {
  const auto issued = ca.issue(spec(b));
  RawPeer raw(true, &issued);
  raw.answers_alpn = false;
  Shaken ours;
  against(raw, ours, as_client());
  EXPECT_EQ(ours.text(), "invalid: TLS: the server chose no application protocol");
}

TEST_F(HandshakeTest, a_server_is_told_why_its_client_left) {
  RawPeer raw(true, nullptr);
  const auto issued = test::TestCa("x").issue(spec(b));
  raw.use(issued);
  Shaken ours;
  against(raw, ours, as_client());
  EXPECT_EQ(raw.alert(), SSL_AD_UNKNOWN_CA);
  // And the other way round: our server says what the client's alert said.
  client.contexts->set_bundle(test::bundle_of(test::TestCa("y").certificate_pem(), 2)).value();
  const auto both = shake();
  EXPECT_EQ(both->server.text(), "closed: the peer refused: TLS alert unknown CA");
  EXPECT_EQ(server.counters.tls_failed_closed, 1u);
}

TEST_F(HandshakeTest, plain_text_is_no_handshake) {
  test::TransportPair pair;
  Shaken ours;
  start(server, ours, std::move(pair.near), as_server());
  pair.far->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  turn();
  ASSERT_TRUE(ours.done());
  EXPECT_EQ(ours.error().kind, ErrorKind::kInvalid) << ours.text();
  EXPECT_TRUE(pair.far->at_end() || !pair.far->take().empty());
}

TEST_F(HandshakeTest, a_slow_peer_has_ten_seconds) {
  test::TransportPair pair;
  Shaken ours;
  start(server, ours, std::move(pair.near), as_server());
  clock.advance(base::Millis(9'980));
  turn();
  EXPECT_FALSE(ours.done());
  clock.advance(base::Millis(40));
  turn();
  EXPECT_EQ(ours.text(), "timeout: no TLS handshake within 10000 ms");
  EXPECT_EQ(ours.error().side, base::Side::kSource);
  EXPECT_TRUE(pair.far->at_end());
  EXPECT_EQ(server.counters.tls_failed_timeout, 1u);
  EXPECT_EQ(loop->timers().armed(), 0u);
}

TEST_F(HandshakeTest, a_peer_that_leaves_is_closed) {
  test::TransportPair pair;
  Shaken ours;
  start(client, ours, std::move(pair.near), as_client());
  turn();
  pair.far.reset();
  turn();
  ASSERT_TRUE(ours.done());
  EXPECT_EQ(ours.error().kind, ErrorKind::kClosed) << ours.text();
  EXPECT_EQ(ours.error().side, base::Side::kDestination);
}

TEST_F(HandshakeTest, a_cancelled_handshake_says_nothing_more) {
  test::TransportPair pair;
  Shaken ours;
  start(client, ours, std::move(pair.near), as_client());
  turn();
  ours.handshake.reset();
  turn();
  EXPECT_FALSE(ours.done());
  EXPECT_FALSE(pair.far->take().empty());
  EXPECT_TRUE(pair.far->at_end());
}

TEST_F(HandshakeTest, bytes_may_come_one_at_a_time) {
  test::TransportPair pair;
  pair.faults->most_per_read = pair.faults->most_per_write = 1;
  Shaken c, s;
  start(client, c, std::move(pair.near), as_client());
  start(server, s, std::move(pair.far), as_server());
  turn(10'000);
  EXPECT_EQ(c.text(), "good");
  EXPECT_EQ(s.text(), "good");
}

TEST_F(HandshakeTest, a_medium_without_room_only_slows_it_down) {
  test::TransportPair pair;
  pair.faults->room = 100;
  Shaken c, s;
  start(client, c, std::move(pair.near), as_client());
  start(server, s, std::move(pair.far), as_server());
  turn(1000);
  EXPECT_EQ(c.text(), "good");
  EXPECT_EQ(s.text(), "good");
}

TEST_F(HandshakeTest, without_a_valid_certificate_of_ours_or_a_bundle_nothing_begins) {
  auto request = as_client();
  request.identity = spiffe("spiffe://cluster.local/ns/shop/sa/unknown");
  EXPECT_TRUE(has(shake(request, as_server())->client.text(), "not found: no certificate of ours for"));
  test::TlsNode fresh(clock);
  give(fresh, a);
  Shaken early;
  start(fresh, early, std::move(test::TransportPair().near), as_client());
  EXPECT_EQ(early.text(), "not found: no trust bundle has come yet");
  clock.advance(std::chrono::hours(2));
  EXPECT_TRUE(has(shake()->client.text(), "expired at"));
  EXPECT_EQ(client.counters.tls_no_identity, 2u);
  client.contexts->forget(a);
  EXPECT_EQ(client.contexts->credential(a), nullptr);
}

TEST_F(HandshakeTest, a_new_certificate_serves_new_handshakes_and_leaves_old_connections_alone) {
  const auto before = shake();
  ASSERT_TRUE(before->good());
  give(server, b);
  give(client, a);
  const auto after = shake();
  ASSERT_TRUE(after->good());
  EXPECT_NE(X509_cmp(before->client.value().peer.leaf.get(), after->client.value().peer.leaf.get()), 0);
  test::Sink there(*loop, *before->client.value().transport), here(*loop, *before->server.value().transport);
  there.send("still here");
  turn();
  EXPECT_EQ(here.got, "still here");
}

TEST_F(HandshakeTest, a_new_bundle_counts_at_once_whatever_the_leaf) {
  const test::TestCa next("next root");
  EXPECT_EQ(served(ca.issue(spec(a))), "good");
  server.contexts->set_bundle(test::bundle_of(ca.certificate_pem() + next.certificate_pem(), 2)).value();
  EXPECT_EQ(served(ca.issue(spec(a))), "good");
  EXPECT_EQ(served(next.issue(spec(a))), "good");
  server.contexts->set_bundle(test::bundle_of(next.certificate_pem(), 3)).value();
  EXPECT_TRUE(has(served(ca.issue(spec(a))), "unknown authority"));
  EXPECT_EQ(served(next.issue(spec(a))), "good");
}

TEST_F(HandshakeTest, a_known_peer_is_still_judged_anew) {
  const auto issued = ca.issue(spec(a));
  EXPECT_EQ(served(issued), "good");
  EXPECT_EQ(served(issued), "good");
  clock.advance(std::chrono::minutes(59));
  give(server, b);
  EXPECT_EQ(served(issued), "good");
  clock.advance(std::chrono::minutes(2));
  EXPECT_TRUE(has(served(issued), "expired"));
}

TEST_F(HandshakeTest, a_shrunken_bundle_tells_which_live_peers_no_longer_hold) {
  const test::TestCa next("next root");
  client.contexts->set_bundle(test::bundle_of(ca.certificate_pem() + next.certificate_pem(), 2)).value();
  server.contexts->set(test::credential_of(next.intermediate("middle").issue(spec(b)), b)).value();
  const auto both = shake();
  ASSERT_TRUE(both->good());
  const auto& peer = both->client.value().peer;
  EXPECT_EQ(peer.intermediates.size(), 1u);
  EXPECT_TRUE(peer.still_holds(*test::bundle_of(next.certificate_pem(), 3)));
  EXPECT_TRUE(peer.still_holds(*test::bundle_of(ca.certificate_pem() + next.certificate_pem(), 3)));
  EXPECT_FALSE(peer.still_holds(*test::bundle_of(ca.certificate_pem(), 3)));
}

TEST_F(HandshakeTest, a_bundle_that_shrinks_during_a_handshake_is_not_missed) {
  test::TransportPair pair;
  pair.faults->most_per_read = 64;
  Shaken c, s;
  start(client, c, std::move(pair.near), as_client());
  start(server, s, std::move(pair.far), as_server());
  int turns = 0;
  // The client knows the server before it is told that it has finished: find a turn in between, or after it.
  while (!c.done() && ++turns < 500) turn(1);
  ASSERT_TRUE(c.good());
  for (int at = 1; at < turns; ++at) {
    test::TlsRig rig;
    test::TransportPair again;
    again.faults->most_per_read = 64;
    Shaken client_again, server_again;
    rig.start(rig.client, client_again, std::move(again.near), rig.as_client());
    rig.start(rig.server, server_again, std::move(again.far), rig.as_server());
    rig.turn(at);
    const auto other = test::bundle_of(test::TestCa("z").certificate_pem(), 2);
    rig.client.contexts->set_bundle(other).value();
    rig.turn(1000);
    ASSERT_TRUE(client_again.done());
    EXPECT_EQ(client_again.good(), false) << "after turn " << at;
  }
}

}  // namespace
}  // namespace weft::tls
