#include "userspace-proxy/base/timer.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_clock.h"

namespace weft::base {
namespace {

struct TimerTest : testing::Test {
  test::FakeClock clock;
  TimerWheel wheel{clock};
};

TEST_F(TimerTest, fires_once_and_never_early) {
  int fired = 0;
  Timer timer(wheel, [&] { ++fired; });
  timer.arm(Millis(100));
  clock.advance(Millis(99));
  wheel.advance();
  EXPECT_EQ(fired, 0);
  clock.advance(Millis(1) + TimerWheel::kTick);
  wheel.advance();
  EXPECT_EQ(fired, 1);
  clock.advance(Millis(100'000));
  wheel.advance();
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerTest, a_timer_further_away_than_one_round_waits_its_rounds) {
  int fired = 0;
  Timer timer(wheel, [&] { ++fired; });
  const Nanos far = TimerWheel::kTick * TimerWheel::kSlots * 3;
  timer.arm(far);
  for (Nanos passed{0}; passed < far; passed += TimerWheel::kTick * 100) {
    wheel.advance();
    EXPECT_EQ(fired, 0);
    clock.advance(TimerWheel::kTick * 100);
  }
  clock.advance(TimerWheel::kTick * 2);
  wheel.advance();
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerTest, a_cancelled_timer_never_fires_and_a_dying_one_cancels_itself) {
  int fired = 0;
  {
    Timer dying(wheel, [&] { ++fired; });
    dying.arm(Millis(10));
  }
  Timer cancelled(wheel, [&] { ++fired; });
  cancelled.arm(Millis(10));
  cancelled.cancel();
  clock.advance(Millis(1000));
  wheel.advance();
  EXPECT_EQ(fired, 0);
  EXPECT_EQ(wheel.armed(), 0u);
}

TEST_F(TimerTest, an_action_may_arm_itself_again_and_cancel_others_of_the_same_slot) {
  std::vector<int> order;
  Timer* victim = nullptr;
  Timer first(wheel, [&] {
    order.push_back(1);
    victim->cancel();
  });
  Timer second(wheel, [&] {
    order.push_back(2);
    first.cancel();
  });
  victim = &second;
  second.arm(Millis(10));
  first.arm(Millis(10));
  clock.advance(Millis(50));
  wheel.advance();
  EXPECT_EQ(order.size(), 1u);

  int again = 0;
  Timer repeating(wheel, [&] {
    if (++again < 3) repeating.arm(Millis(5));
  });
  repeating.arm(Millis(5));
  for (int i = 0; i < 10; ++i) {
    clock.advance(Millis(20));
    wheel.advance();
  }
  EXPECT_EQ(again, 3);
}

TEST_F(TimerTest, wait_says_never_without_timers_and_zero_when_one_is_overdue) {
  EXPECT_EQ(wheel.wait_ms(), -1);
  Timer timer(wheel, [] {});
  timer.arm(Millis(80));
  EXPECT_GT(wheel.wait_ms(), 0);
  EXPECT_LE(wheel.wait_ms(), 96);
  clock.advance(Millis(200));
  EXPECT_EQ(wheel.wait_ms(), 0);
}

}  // namespace
}  // namespace weft::base
