// Writes that wait for nobody: newest first, bounded, repeated.
#include "agent/state/api_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "tests/support/command.h"

namespace weft::state {
namespace {

using namespace std::chrono_literals;

class QueueTest : public testing::Test {
 protected:
  static ApiQueueOptions quick() {
    return {.per_second = 1000, .burst = 100, .retry_first = 5ms, .retry_most = 20ms, .retry_forbidden = 50ms};
  }
  base::SystemClock clock_;
};

TEST_F(QueueTest, what_is_put_under_a_name_replaces_what_waits_there) {
  std::latch hold(1), began(1);
  std::atomic<int> old{0}, fresh{0};
  ApiQueue queue(clock_, quick());
  queue.put("first", [&] {
    began.count_down();
    hold.wait();
    return ApiOutcome::kDone;
  });
  began.wait();
  queue.put("x", [&] { return ++old, ApiOutcome::kDone; });
  queue.put("x", [&] { return ++fresh, ApiOutcome::kDone; });
  EXPECT_EQ(queue.waiting(), 1u);
  hold.count_down();
  EXPECT_TRUE(test::eventually([&] { return fresh == 1; }));
  EXPECT_EQ(old, 0);
}

TEST_F(QueueTest, what_failed_is_done_again_until_it_succeeds) {
  std::atomic<int> tries{0};
  ApiQueue queue(clock_, quick());
  queue.put("x", [&] { return ++tries < 4 ? ApiOutcome::kAgain : ApiOutcome::kDone; });
  EXPECT_TRUE(test::eventually([&] { return tries == 4; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(tries, 4);
}

TEST_F(QueueTest, a_newer_word_takes_the_place_of_what_failed_meanwhile) {
  std::latch hold(1), began(1);
  std::atomic<int> old{0}, fresh{0};
  ApiQueue queue(clock_, quick());
  queue.put("x", [&] {
    if (++old == 1) {
      began.count_down();
      hold.wait();
    }
    return ApiOutcome::kAgain;
  });
  began.wait();
  queue.put("x", [&] { return ++fresh, ApiOutcome::kDone; });
  hold.count_down();
  EXPECT_TRUE(test::eventually([&] { return fresh == 1; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(old, 1);
}

TEST_F(QueueTest, work_that_was_dropped_or_cleared_while_it_ran_is_not_repeated) {
  for (const bool all : {false, true}) {
    std::latch hold(1), began(1);
    std::atomic<int> tries{0};
    ApiQueue queue(clock_, quick());
    queue.put("x", [&] {
      if (++tries == 1) {
        began.count_down();
        hold.wait();
      }
      return ApiOutcome::kAgain;
    });
    began.wait();
    all ? queue.clear() : queue.drop("x");
    hold.count_down();
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(tries, 1) << all;
    EXPECT_EQ(queue.waiting(), 0u);
  }
}

TEST_F(QueueTest, a_rate_holds_after_the_burst) {
  std::atomic<int> done{0};
  ApiQueue queue(clock_, {.per_second = 20, .burst = 5});
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 15; ++i) queue.put(std::to_string(i), [&] { return ++done, ApiOutcome::kDone; });
  EXPECT_TRUE(test::eventually([&] { return done == 15; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 450ms) << "ten beyond the burst, 50 ms each";
}

TEST_F(QueueTest, the_end_waits_for_no_retry) {
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<int> tries{0};
  {
    ApiQueue queue(clock_, {.retry_first = std::chrono::minutes(1)});
    queue.put("x", [&] { return ++tries, ApiOutcome::kAgain; });
    ASSERT_TRUE(test::eventually([&] { return tries == 1; }));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

}  // namespace
}  // namespace weft::state
