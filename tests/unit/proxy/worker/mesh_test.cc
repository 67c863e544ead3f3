// Two workers' mTLS halves face to face: what one dials through a tunnel arrives at the other with a proven name.
#include "tests/unit/proxy/worker/mesh_rig.h"

namespace weft::worker {
namespace {

TEST_F(MeshTest, a_call_arrives_with_the_callers_proven_name_and_carries_bytes) {
  equip(*source, kWeb);
  equip(*destination, kApi);
  call();
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(proven, kWeb);
  EXPECT_EQ(wire.destination, at("10.0.2.1:15008"));
  EXPECT_EQ(request->authority().to_string(), "10.0.2.1:8080");
  EXPECT_FALSE(told) << "not before the application is there";
  far = request->accept();
  turns();
  ASSERT_TRUE(told);
  ASSERT_TRUE(outcome) << base::describe(outcome.error());
  const iovec piece{const_cast<char*>("hello"), 5};
  EXPECT_EQ((*outcome)->write({&piece, 1}).bytes, 5u);
  turns();
  std::array<char, 16> got{};
  EXPECT_EQ(far->read(got).bytes, 5u);
  EXPECT_EQ(std::string_view(got.data(), 5), "hello");
}

TEST_F(MeshTest, a_call_tells_the_destination_who_calls_what_and_a_mark_of_its_own) {
  equip(*source, kWeb);
  equip(*destination, kApi);
  call();
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->forwarded(), "for=\"10.0.1.1:51000\";host=api.prod.svc.cluster.local");
  EXPECT_EQ(hbone::parse_baggage(request->baggage()).ns, "dev");
  const auto first = hbone::parse_traceparent(request->traceparent());
  ASSERT_TRUE(first) << request->traceparent();
  EXPECT_EQ(first->flags, 0);
  call();
  const auto second = hbone::parse_traceparent(request->traceparent());
  ASSERT_TRUE(second) << request->traceparent();
  EXPECT_NE(first->trace, second->trace);
  EXPECT_NE(first->parent, second->parent);
}

TEST_F(MeshTest, the_second_call_shares_the_tunnel) {
  equip(*source, kWeb);
  equip(*destination, kApi);
  call();
  far = request->accept();
  turns();
  auto first = std::move(outcome);
  call();
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(wire.dials, 1);
  EXPECT_EQ(counters.tls_handshakes_full, 2u) << "one, seen from both ends";
}

TEST_F(MeshTest, a_refusal_by_policy_is_told_as_one) {
  equip(*source, kWeb);
  equip(*destination, kApi);
  call();
  request->refuse(hbone::Refusal::kDenied);
  turns();
  ASSERT_TRUE(told);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(hbone::flag_of(outcome.error()), observe::Flag::kDeny);
}

TEST_F(MeshTest, a_call_before_the_certificate_waits_for_it_and_hurries_the_agent) {
  equip(*destination, kApi);
  call();
  EXPECT_FALSE(told);
  ASSERT_EQ(needed.size(), 1u);
  EXPECT_EQ(needed[0], kWeb);
  EXPECT_EQ(wire.dials, 0);
  equip(*source, kWeb);
  turns();
  EXPECT_NE(request, nullptr);
  EXPECT_EQ(counters.identity_waits, 1u);
}

TEST_F(MeshTest, an_arrival_before_the_certificate_waits_for_it_too) {
  equip(*source, kWeb);
  call();
  EXPECT_EQ(request, nullptr);
  ASSERT_EQ(needed.size(), 1u);
  EXPECT_EQ(needed[0], kApi);
  equip(*destination, kApi);
  turns();
  EXPECT_NE(request, nullptr);
}

TEST_F(MeshTest, no_certificate_means_no_connection_and_the_reason_is_told) {
  call();
  source->waits.failed(kWeb, "the CA is away");
  turns();
  ASSERT_TRUE(told);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, base::ErrorKind::kUntrusted);
  EXPECT_NE(outcome.error().what.find("the CA is away"), std::string::npos);
  EXPECT_EQ(wire.dials, 0) << "never in plain text";
}

TEST_F(MeshTest, a_pod_that_nobody_knows_does_not_call_in_plain_text) {
  dial = source->tunnels.dial(
      {.pod = "dev/gone", .destination = at("10.0.2.1:8080"), .identity = connect::PeerIdentity{"prod", "api"}},
      *this);
  turns();
  ASSERT_TRUE(told);
  EXPECT_FALSE(outcome);
  EXPECT_EQ(wire.dials, 0);
}

TEST_F(MeshTest, a_destination_that_proves_to_be_somebody_else_gets_no_byte) {
  equip(*source, kWeb);
  const model::SpiffeId other{"cluster.local", "prod", "other"};
  equip(*destination, other);
  wire.server_identity = other;
  call();
  ASSERT_TRUE(told);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(hbone::flag_of(outcome.error()), observe::Flag::kIdentityError) << base::describe(outcome.error());
  EXPECT_EQ(request, nullptr);
}

TEST_F(MeshTest, roots_that_no_longer_hold_the_peer_cut_the_tunnel_and_say_why) {
  equip(*source, kWeb);
  equip(*destination, kApi);
  call();
  far = request->accept();
  turns();
  test::TestCa other("another root");
  const auto bundle = *tls::TrustBundle::parse(other.certificate_pem(), 2);
  ASSERT_TRUE(destination->contexts->set_bundle(bundle));
  destination->server->on_bundle(*bundle);
  turns();
  EXPECT_EQ(counters.hbone_bundle_cut, 1u);
  ASSERT_FALSE(refused.empty());
  EXPECT_NE(refused.back().find("trust bundle"), std::string::npos);
  std::array<char, 16> got{};
  EXPECT_EQ((*outcome)->read(got).kind, base::Io::Kind::kError) << "a reset, not an end";
  EXPECT_EQ(closed, 1);
}

struct CrowdedMeshTest : MeshTest {
  void arrive(test::TransportPair& pair, const char* peer = "10.0.1.1:40000") {
    destination->server->serve(
        {.pod = "prod/api-1", .identity = kApi, .original = at("10.0.2.1:15008"), .peer = at(peer)}, std::move(pair.far));
  }
  void arrive(std::vector<test::TransportPair>& pairs) {
    equip(*destination, kApi);
    for (auto& pair : pairs) arrive(pair);
  }
  void leave() {
    destination->server->abort_all();
    turns();
    EXPECT_EQ(destination->server->size(), 0u);
  }
  static constexpr tls::HandshakeLimits::Config kLimits{};
};

TEST_F(CrowdedMeshTest, handshakes_of_one_source_beyond_its_share_wait_and_beyond_that_are_shed) {
  std::vector<test::TransportPair> pairs(kLimits.under_way_of_one + kLimits.waiting_of_one + 80);
  arrive(pairs);
  EXPECT_EQ(counters.tls_queued, kLimits.waiting_of_one);
  EXPECT_EQ(counters.tls_shed, 80u);
  EXPECT_EQ(refused.size(), 80u);
  EXPECT_EQ(destination->server->size(), kLimits.under_way_of_one + kLimits.waiting_of_one);
  test::TransportPair other;
  arrive(other, "10.0.1.2:40000");
  EXPECT_EQ(counters.tls_queued, kLimits.waiting_of_one) << "another source is served at once";
  leave();
  test::TransportPair again;
  arrive(again);
  EXPECT_EQ(counters.tls_shed, 80u) << "the ended ones were given back";
  leave();
}

TEST_F(CrowdedMeshTest, one_that_waits_is_served_when_another_of_its_source_is_done) {
  std::vector<test::TransportPair> pairs(kLimits.under_way_of_one);
  arrive(pairs);
  equip(*source, kWeb);
  call();
  EXPECT_EQ(counters.tls_queued, 1u);
  EXPECT_EQ(request, nullptr);
  pairs[7].near->reset();
  for (int i = 0; i < 200 && request == nullptr; ++i) loop->turn(10);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(proven, kWeb);
  EXPECT_EQ(counters.tls_shed, 0u);
  leave();
}

TEST_F(CrowdedMeshTest, one_whose_turn_does_not_come_is_shed_in_the_end) {
  std::vector<test::TransportPair> pairs(kLimits.under_way_of_one + 1);
  arrive(pairs);
  for (int i = 0; i < 700 && counters.tls_shed == 0; ++i) loop->turn(10);
  EXPECT_EQ(counters.tls_shed, 1u);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].find("unfinished handshakes of this source"), std::string::npos) << refused[0];
  EXPECT_TRUE(pairs.back().near->was_reset());
  leave();
}

}  // namespace
}  // namespace weft::worker
