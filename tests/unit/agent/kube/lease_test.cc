// Who leads: decisions over a Lease, with time in the test's hand.
#include "agent/kube/lease.h"

#include <gtest/gtest.h>

#include "agent/kube/micro_time.h"
#include "tests/support/fake_clock.h"

namespace weft::kube {
namespace {

using Move = Election::Move;
using std::chrono::seconds;

struct ElectionTest : ::testing::Test {
  LeaseOptions options(const std::string& identity) { return {.ns = "s", .name = "l", .identity = identity}; }
  // What a replica does in one step against a server that stores `lease`.
  Move step(Election& election) {
    const Move move = election.look(lease, clock.now());
    if (move == Move::kWait) return move;
    lease = election.record(clock.wall_now());
    election.won(*lease, clock.now());
    return move;
  }
  test::FakeClock clock;
  std::optional<LeaseRecord> lease;
  Election a{options("a")}, b{options("b")};
};

TEST_F(ElectionTest, the_first_makes_the_lease_and_leads_for_the_renew_deadline) {
  EXPECT_EQ(step(a), Move::kCreate);
  EXPECT_TRUE(a.leads(clock.now()));
  EXPECT_EQ(lease->holder, "a");
  EXPECT_EQ(lease->duration_seconds, 15);
  EXPECT_EQ(lease->transitions, 0);
  clock.advance(seconds(10));
  EXPECT_FALSE(a.leads(clock.now()));
}

TEST_F(ElectionTest, another_waits_while_it_is_renewed_and_takes_it_once_it_was_not_for_its_duration) {
  step(a);
  for (int i = 0; i < 20; ++i) {
    clock.advance(seconds(2));
    EXPECT_EQ(step(a), Move::kRenew);
    EXPECT_EQ(step(b), Move::kWait);
  }
  clock.advance(seconds(14));
  EXPECT_EQ(step(b), Move::kWait);
  EXPECT_FALSE(a.leads(clock.now())) << "who could not renew has stopped before another begins";
  clock.advance(seconds(1));
  EXPECT_EQ(step(b), Move::kTake);
  EXPECT_EQ(lease->transitions, 1);
  EXPECT_EQ(step(a), Move::kWait);
  EXPECT_FALSE(a.leads(clock.now()));
  EXPECT_TRUE(b.leads(clock.now()));
}

TEST_F(ElectionTest, the_clock_of_the_holder_is_not_believed) {
  lease = LeaseRecord{.holder = "x", .duration_seconds = 15, .renew_time = "1999-01-01T00:00:00.000000Z"};
  EXPECT_EQ(step(b), Move::kWait) << "its age counts from when we saw it";
  clock.advance(seconds(15));
  EXPECT_EQ(step(b), Move::kTake);
}

TEST_F(ElectionTest, what_was_released_is_taken_at_once_and_counts_as_a_change) {
  step(a);
  clock.advance(seconds(1));
  step(b);
  lease = a.released(clock.wall_now());
  EXPECT_EQ(lease->holder, "");
  EXPECT_EQ(step(b), Move::kTake);
  EXPECT_EQ(lease->transitions, 1);
}

TEST_F(ElectionTest, a_renewal_keeps_the_time_of_acquisition) {
  step(a);
  const std::string acquired = lease->acquire_time;
  clock.advance(seconds(2));
  step(a);
  EXPECT_EQ(lease->acquire_time, acquired);
  EXPECT_NE(lease->renew_time, acquired);
}

TEST_F(ElectionTest, leading_counts_from_when_the_request_was_sent) {
  EXPECT_EQ(a.look(std::nullopt, clock.now()), Move::kCreate);
  const base::Instant asked = clock.now();
  clock.advance(seconds(9));
  a.won(a.record(clock.wall_now()), asked);
  EXPECT_TRUE(a.leads(clock.now()));
  clock.advance(seconds(1));
  EXPECT_FALSE(a.leads(clock.now()));
}

TEST_F(ElectionTest, a_lease_that_was_deleted_or_lost_to_another_is_not_led) {
  step(a);
  a.lost();
  EXPECT_FALSE(a.leads(clock.now()));
  step(a);
  EXPECT_EQ(a.look(std::nullopt, clock.now()), Move::kCreate);
  EXPECT_FALSE(a.leads(clock.now()));
}

TEST_F(ElectionTest, an_absurd_duration_of_another_is_bounded) {
  lease = LeaseRecord{.holder = "x", .duration_seconds = 1'000'000'000'000};
  EXPECT_EQ(step(b), Move::kWait);
  clock.advance(std::chrono::hours(1));
  EXPECT_EQ(step(b), Move::kTake);
}

TEST(MicroTime, has_six_digits_and_is_in_utc) {
  EXPECT_EQ(micro_time(base::WallTime(std::chrono::microseconds(1'700'000'000'000'042))),
            "2023-11-14T22:13:20.000042Z");
}

TEST(LeaseRecord, is_read_from_an_object) {
  objects::Node lease;
  lease["spec"].set("holderIdentity", objects::Node::string("a"));
  lease["spec"].set("leaseDurationSeconds", objects::Node::integer(15));
  lease["spec"].set("leaseTransitions", objects::Node::integer(3));
  EXPECT_EQ(read_lease(lease), (LeaseRecord{.holder = "a", .duration_seconds = 15, .transitions = 3}));
  EXPECT_EQ(read_lease(objects::Node()), LeaseRecord{});
}

}  // namespace
}  // namespace weft::kube
