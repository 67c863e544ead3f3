#include <gtest/gtest.h>

#include "userspace-proxy/base/loop.h"

namespace weft::base {
namespace {

struct Yielder final : IoHandler {
  explicit Yielder(Loop& its_loop) : loop(its_loop) {}
  void on_io(uint32_t events) override {
    EXPECT_EQ(events, 0u);
    if (++calls < 3) loop.again(this);
  }
  Loop& loop;
  int calls = 0;
};

struct LoopAgainTest : testing::Test {
  SystemClock clock;
  std::unique_ptr<Loop> loop = std::move(*Loop::create(clock));
};

TEST_F(LoopAgainTest, one_who_yields_is_called_once_a_turn_and_no_turn_waits_meanwhile) {
  Yielder yielder(*loop);
  loop->again(&yielder);
  for (int turn = 1; turn <= 3; ++turn) {
    loop->turn(60'000);
    EXPECT_EQ(yielder.calls, turn);
  }
  loop->turn(0);
  EXPECT_EQ(yielder.calls, 3);
}

TEST_F(LoopAgainTest, one_who_is_forgotten_is_not_called) {
  Yielder yielder(*loop);
  loop->again(&yielder);
  loop->forget(&yielder);
  loop->turn(0);
  EXPECT_EQ(yielder.calls, 0);
}

}  // namespace
}  // namespace weft::base
