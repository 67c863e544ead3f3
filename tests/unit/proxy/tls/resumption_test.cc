#include <gtest/gtest.h>

#include "tests/support/tls_rig.h"
#include "tests/unit/proxy/tls/raw_peer.h"
#include "userspace-proxy/tls/context.h"

namespace weft::tls {
namespace {

using test::RawPeer;
using test::Shaken;
using test::Sink;
using test::spiffe;

struct ResumptionTest : testing::Test, test::TlsRig {
  // One connection that lives long enough to take its ticket; says whether it was resumed, "resumed" or "full".
  std::string connect(const std::string& key) { return connect(client, as_client(key), as_server()); }
  std::string connect(test::TlsNode& from, HandshakeRequest c, HandshakeRequest s) {
    Shaken there, here;
    test::TransportPair pair;
    start(from, there, std::move(pair.near), std::move(c));
    start(server, here, std::move(pair.far), std::move(s));
    turn();
    if (!there.good() || !here.good()) return there.text() + " / " + here.text();
    Sink out(*loop, *there.value().transport), in(*loop, *here.value().transport);
    out.send("hello");
    in.send("hello back");
    turn();
    EXPECT_EQ(in.got, "hello");
    EXPECT_EQ(out.got, "hello back");
    there.value().transport->shutdown_write();
    here.value().transport->shutdown_write();
    turn();
    client_proof = std::move(there.value().peer);
    server_proof = std::move(here.value().peer);
    EXPECT_EQ(client_proof.resumed, server_proof.resumed);
    return client_proof.resumed ? "resumed" : "full";
  }
  PeerProof client_proof, server_proof;
};

TEST_F(ResumptionTest, the_second_connection_is_resumed_and_proves_the_same_peer) {
  const auto began = clock.wall_now();
  EXPECT_EQ(connect("x"), "full");
  clock.advance(std::chrono::minutes(1));
  EXPECT_EQ(connect("x"), "resumed");
  EXPECT_EQ(connect("x"), "resumed");
  EXPECT_EQ(client_proof.id, b);
  EXPECT_EQ(server_proof.id, a);
  EXPECT_EQ(client_proof.established, began);
  EXPECT_EQ(server_proof.established, began);
  EXPECT_TRUE(client_proof.still_holds(*server.contexts->bundle()));
  EXPECT_TRUE(server_proof.still_holds(*server.contexts->bundle()));
  EXPECT_EQ(client.counters.tls_handshakes_full, 1u);
  EXPECT_EQ(client.counters.tls_handshakes_resumed, 2u);
  EXPECT_EQ(server.counters.tls_handshakes_resumed, 2u);
}

TEST_F(ResumptionTest, a_connection_that_is_reset_does_not_spoil_its_session) {
  const auto both = shake(as_client("x"), as_server());
  ASSERT_TRUE(both->good());
  Sink out(*loop, *both->client.value().transport), in(*loop, *both->server.value().transport);
  in.send("take the ticket too");
  turn();
  both->client.value().transport->reset();
  both->client.value().transport.reset();
  turn();
  EXPECT_EQ(connect("x"), "resumed");
}

TEST_F(ResumptionTest, the_chain_of_a_resumed_peer_is_still_there_for_the_day_the_bundle_shrinks) {
  const auto middle = ca.intermediate("middle");
  client.contexts->set(test::credential_of(middle.issue(spec(a)), a)).value();
  server.contexts->set(test::credential_of(middle.issue(spec(b)), b)).value();
  EXPECT_EQ(connect("x"), "full");
  EXPECT_EQ(connect("x"), "resumed");
  for (const auto* proof : {&client_proof, &server_proof}) {
    EXPECT_EQ(proof->intermediates.size(), 1u);
    EXPECT_TRUE(proof->still_holds(*test::bundle_of(ca.certificate_pem(), 2)));
    EXPECT_FALSE(proof->still_holds(*test::bundle_of(test::TestCa("z").certificate_pem(), 2)));
  }
}

TEST_F(ResumptionTest, without_a_key_or_with_another_one_nothing_is_resumed) {
  EXPECT_EQ(connect(""), "full");
  EXPECT_EQ(connect(""), "full");
  EXPECT_EQ(connect("x"), "full");
  EXPECT_EQ(connect("y"), "full");
}

TEST_F(ResumptionTest, a_session_is_not_used_toward_a_peer_that_is_not_expected) {
  EXPECT_EQ(connect("x"), "full");
  const auto c = spiffe("spiffe://cluster.local/ns/shop/sa/c");
  give(server, c);
  auto request = as_client("x");
  request.expected = {c};
  EXPECT_EQ(connect(client, request, {.role = Role::kServer, .identity = c}), "full");
  EXPECT_EQ(client_proof.id, c);
}

TEST_F(ResumptionTest, a_ticket_does_not_hold_for_another_identity_of_the_same_server) {
  EXPECT_EQ(connect("x"), "full");
  const auto c = spiffe("spiffe://cluster.local/ns/shop/sa/c");
  give(server, c);
  auto request = as_client("x");
  request.expected = {b, c};  // the client offers its session with b; c answers
  EXPECT_EQ(connect(client, request, {.role = Role::kServer, .identity = c}), "full");
  EXPECT_EQ(client_proof.id, c);
}

TEST_F(ResumptionTest, identities_of_one_node_do_not_share_sessions) {
  EXPECT_EQ(connect("x"), "full");
  const auto c = spiffe("spiffe://cluster.local/ns/shop/sa/c");
  give(client, c);
  auto request = as_client("x");
  request.identity = c;
  EXPECT_EQ(connect(client, request, as_server()), "full");
  EXPECT_EQ(server_proof.id, c);
}

TEST_F(ResumptionTest, a_new_bundle_on_either_side_invalidates_what_was_before) {
  EXPECT_EQ(connect("x"), "full");
  server.contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 2)).value();
  EXPECT_EQ(connect("x"), "full");
  EXPECT_EQ(connect("x"), "resumed");
  client.contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 2)).value();
  EXPECT_EQ(connect("x"), "full");
  EXPECT_EQ(connect("x"), "resumed");
}

TEST_F(ResumptionTest, a_new_leaf_on_either_side_begins_anew) {
  EXPECT_EQ(connect("x"), "full");
  give(server, b);
  EXPECT_EQ(connect("x"), "full");
  EXPECT_EQ(connect("x"), "resumed");
  give(client, a);
  EXPECT_EQ(connect("x"), "full");
}

TEST_F(ResumptionTest, no_session_outlives_an_hour_or_the_certificate_of_the_peer) {
  auto long_lived = spec(a);
  long_lived.not_after = wall() + 10 * 3600;
  client.contexts->set(test::credential_of(ca.issue(long_lived), a)).value();
  long_lived.uris = {b.to_string()};
  server.contexts->set(test::credential_of(ca.issue(long_lived), b)).value();
  EXPECT_EQ(connect("x"), "full");
  clock.advance(std::chrono::minutes(59));
  EXPECT_EQ(connect("x"), "resumed");
  clock.advance(std::chrono::minutes(2));
  EXPECT_EQ(connect("x"), "full");

  auto brief = spec(b);
  brief.not_after = wall() + 60;
  server.contexts->set(test::credential_of(ca.issue(brief), b)).value();
  EXPECT_EQ(connect("y"), "full");
  EXPECT_EQ(connect("y"), "resumed");
  clock.advance(std::chrono::seconds(61));
  brief.not_after = wall() + 60;
  server.contexts->set(test::credential_of(ca.issue(brief), b)).value();
  EXPECT_EQ(connect("y"), "full");
}

TEST_F(ResumptionTest, a_server_does_not_resume_a_client_whose_certificate_has_expired) {
  auto brief = spec(a);
  brief.not_after = wall() + 60;
  const auto issued = ca.issue(brief);
  client.contexts->set(test::credential_of(issued, a)).value();
  EXPECT_EQ(connect("x"), "full");
  clock.advance(std::chrono::seconds(61));
  // The client's own check would stop it: a client that does not care is played by one whose credential lies.
  auto lie = std::make_shared<Credential>();
  const auto honest = test::credential_of(issued, a);
  EXPECT_TRUE(connect("x").find("expired") != std::string::npos);
  EXPECT_EQ(server.counters.tls_handshakes_resumed, 0u);
}

TEST_F(ResumptionTest, workers_of_one_process_take_each_others_tickets_and_other_processes_do_not) {
  const auto secret = *TicketSecret::random();
  test::TlsNode one(clock, secret), two(clock, secret), stranger(clock);
  const auto credential = test::credential_of(ca.issue(spec(b)), b);
  for (auto* node : {&one, &two, &stranger}) {
    node->contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 1)).value();
    node->contexts->set(credential).value();
  }
  auto through = [&](test::TlsNode& node) {
    std::swap(server.contexts, node.contexts);
    const auto how = connect("x");
    turn();
    std::swap(server.contexts, node.contexts);
    return how;
  };
  EXPECT_EQ(through(one), "full");
  EXPECT_EQ(through(two), "resumed");
  EXPECT_EQ(through(stranger), "full");
}

// A stock peer gets no ticket and its tickets are not kept.
TEST_F(ResumptionTest, nothing_is_resumed_with_a_peer_that_is_not_weft) {
  const auto issued_a = ca.issue(spec(a)), issued_b = ca.issue(spec(b));
  {
    RawPeer raw(false, &issued_a);
    static int tickets;
    tickets = 0;
    SSL_CTX_set_session_cache_mode(raw.context.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(raw.context.get(), [](SSL*, SSL_SESSION*) { return ++tickets, 0; });
    test::TransportPair pair;
    raw.begin(std::move(pair.far));
    Shaken ours;
    start(server, ours, std::move(pair.near), as_server());
    for (int i = 0; i < 6; ++i) turn(2), raw.step();
    ASSERT_TRUE(ours.good() && raw.finished);
    EXPECT_EQ(tickets, 0);
  }
  RawPeer raw(true, &issued_b);  // gives two tickets by itself
  for (int round = 0; round < 2; ++round) {
    test::TransportPair pair;
    raw.begin(std::move(pair.far));
    Shaken ours;
    start(client, ours, std::move(pair.near), as_client("stock"));
    for (int i = 0; i < 6; ++i) turn(2), raw.step();
    ASSERT_TRUE(ours.good()) << ours.text();
    Sink sink(*loop, *ours.value().transport);
    turn();
    EXPECT_FALSE(ours.value().peer.resumed);
    EXPECT_EQ(sink.error, 0);
  }
  EXPECT_EQ(client.contexts->find(a)->sessions().size(), 0u);
}

// A client that pretends that its ticket allows early data: it is resumed, what came early is thrown away.
TEST_F(ResumptionTest, early_data_is_never_taken) {
  const auto issued = ca.issue(spec(a));
  RawPeer raw(false, &issued);
  static SSL_SESSION* kept;
  kept = nullptr;
  SSL_CTX_add_custom_ext(raw.context.get(), 0xff57, SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS,
                         [](SSL*, unsigned, unsigned, const unsigned char** out, size_t* size, X509*, size_t, int*,
                            void*) {
                           *out = reinterpret_cast<const unsigned char*>("\x01");
                           *size = 1;
                           return 1;
                         },
                         nullptr, nullptr,
                         [](SSL*, unsigned, unsigned, const unsigned char*, size_t, X509*, size_t, int*, void*) {
                           return 1;
                         },
                         nullptr);
  SSL_CTX_set_session_cache_mode(raw.context.get(), SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(raw.context.get(), [](SSL*, SSL_SESSION* session) {
    kept = session;
    return 1;
  });
  auto begin = [&](Shaken& ours) {
    test::TransportPair pair;
    raw.begin(std::move(pair.far));
    start(server, ours, std::move(pair.near), as_server());
  };
  Shaken first;
  begin(first);
  for (int i = 0; i < 6; ++i) turn(2), raw.step();
  ASSERT_TRUE(first.good());
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(kept), 0u);

  SSL_SESSION* forged = SSL_SESSION_dup(kept);
  SSL_SESSION_set_max_early_data(forged, 1000);
  Shaken second;
  begin(second);
  SSL_set_session(raw.ssl, forged);
  size_t written = 0;
  ASSERT_EQ(SSL_write_early_data(raw.ssl, "early", 5, &written), 1);
  raw.send_out();
  for (int i = 0; i < 6; ++i) turn(2), raw.step();
  EXPECT_NE(SSL_get_early_data_status(raw.ssl), SSL_EARLY_DATA_ACCEPTED);
  if (second.good()) {
    Sink sink(*loop, *second.value().transport);
    turn();
    EXPECT_EQ(sink.got, "");
  }
  SSL_SESSION_free(forged);
  SSL_SESSION_free(kept);
}

}  // namespace
}  // namespace weft::tls
