// Dials of the moment in which one of their two ends joins or leaves the mesh: the two nodes hear of it at two times.
#include "tests/unit/proxy/worker/mesh_rig.h"

namespace weft::worker {
namespace {

struct MovingTest : MeshTest {
  MovingTest() {
    equip(*source, kWeb);
    equip(*destination, kApi);
  }
  void leaves(size_t workload) {
    auto snapshot = small();
    snapshot->workloads[workload].enrolled = false;
    learn(snapshot);
  }
  void pass(base::Nanos time) {
    clock.ahead += time;
    turns();
  }
  void pass_until_told() {
    for (int i = 0; i < 10 && !told; ++i) pass(base::Millis(400));
  }
  [[nodiscard]] bool is_plain() const { return told && outcome && wire.plain_dials == 1; }

  static constexpr size_t kSource = 0, kDestination = 1;
};

TEST_F(MovingTest, a_destination_that_takes_no_tunnel_yet_is_asked_again_until_it_does) {
  wire.nobody_there = true;
  call();
  for (int i = 0; i < 4; ++i) pass(base::Millis(200));
  EXPECT_FALSE(told);
  wire.nobody_there = false;
  pass(base::Millis(400));
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(proven, kWeb);
  EXPECT_EQ(wire.plain_dials, 0);
  EXPECT_EQ(counters.tunnel_waits, 1u) << "one connection, however often it asked";
}

TEST_F(MovingTest, a_destination_that_takes_no_tunnel_at_all_is_never_called_in_plain_text) {
  wire.nobody_there = true;
  call();
  pass_until_told();
  ASSERT_TRUE(told);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().sys_errno, ECONNREFUSED);
  EXPECT_EQ(wire.plain_dials, 0);
  EXPECT_LE(wire.dials, 10) << "pauses become longer";
}

TEST_F(MovingTest, a_destination_that_has_left_is_called_in_plain_text_once_the_newest_snapshot_says_so) {
  wire.nobody_there = true;
  call();
  EXPECT_FALSE(told);
  leaves(kDestination);
  pass(base::Millis(400));
  EXPECT_TRUE(is_plain());
  EXPECT_EQ(wire.destination, at("10.0.2.1:8080"));
  EXPECT_EQ(counters.tunnels_left, 1u);
}

TEST_F(MovingTest, a_caller_that_has_left_calls_in_plain_text_as_it_would_have) {
  wire.nobody_there = true;
  call();
  leaves(kSource);
  pass(base::Millis(400));
  EXPECT_TRUE(is_plain());
}

TEST_F(MovingTest, a_caller_whose_identity_was_withdrawn_on_its_way_is_no_failure) {
  wire.nobody_there = true;
  call();
  wire.nobody_there = false;
  leaves(kSource);
  source->contexts->forget(kWeb);
  source->dialer->forget_identity(kWeb);
  pass(base::Millis(400));
  EXPECT_TRUE(is_plain());
}

TEST_F(MovingTest, a_caller_that_leaves_while_it_waits_for_a_certificate_goes_on_without) {
  source->contexts->forget(kWeb);
  call();
  EXPECT_EQ(wire.dials, 0);
  leaves(kSource);
  source->waits.failed(kWeb, "no pod of this node has the identity any more");
  turns();
  EXPECT_TRUE(is_plain());
}

TEST_F(MovingTest, a_handshake_that_breaks_is_tried_once_more_and_no_oftener) {
  wire.breaks = true;
  call();
  pass_until_told();
  ASSERT_TRUE(told);
  EXPECT_FALSE(outcome);
  EXPECT_EQ(wire.dials, 2);
  EXPECT_EQ(wire.plain_dials, 0);
}

TEST_F(MovingTest, an_address_that_has_become_anothers_is_not_called) {
  wire.nobody_there = true;
  call();
  auto snapshot = small();
  snapshot->workloads[kDestination].service_account = "other";
  snapshot->workloads[kDestination].enrolled = false;
  learn(snapshot);
  pass(base::Millis(400));
  ASSERT_TRUE(told);
  EXPECT_FALSE(outcome);
  EXPECT_EQ(wire.plain_dials, 0);
}

TEST_F(MovingTest, a_refusal_by_policy_is_final) {
  call();
  ASSERT_NE(request, nullptr);
  leaves(kDestination);
  request->refuse(hbone::Refusal::kDenied);
  turns();
  ASSERT_TRUE(told);
  EXPECT_FALSE(outcome);
  EXPECT_EQ(wire.plain_dials, 0);
}

}  // namespace
}  // namespace weft::worker
