#include "agent/enrol/stock.h"

#include <gtest/gtest.h>

#include "tests/support/enrol_fakes.h"
#include "tests/support/fake_clock.h"

namespace weft::enrol {
namespace {

using std::chrono::seconds;

const model::StockKey kKey{{"dev/web", 1}, model::StockKind::kOutbound, model::Family::kV4};

struct StockTest : testing::Test {
  // The proxy took `taken`, and holds what is left of all it received.
  void report(uint64_t taken) {
    used += taken;
    const auto sent = static_cast<uint32_t>(outlet.stock[kKey]);
    keeper.report(
        {.key = kKey, .level = sent - static_cast<uint32_t>(used), .received = sent, .taken = taken});
  }

  test::FakeClock clock;
  test::FakeOutlet outlet;
  size_t largest_batch = 0;
  bool broken = false;
  uint64_t used = 0;
  StockKeeper keeper{clock, outlet, [this](const model::StockKey&, uint32_t count) {
                       largest_batch = std::max<size_t>(largest_batch, count);
                       return make(count);
                     }};

  base::Result<std::vector<base::Fd>> make(uint32_t count) const {
    if (broken) return base::fail(base::ErrorKind::kSystem, "no sockets today");
    std::vector<base::Fd> sockets;
    for (uint32_t i = 0; i < count; ++i) sockets.emplace_back();
    return sockets;
  }
};

TEST_F(StockTest, is_made_when_a_proxy_is_there_and_not_before) {
  keeper.add(kKey);
  EXPECT_EQ(outlet.stock[kKey], 0u);
  keeper.proxy_ready();
  EXPECT_EQ(outlet.stock[kKey], StockPlan::kFirst);
  EXPECT_EQ(keeper.gauges().level, StockPlan::kFirst);
}

TEST_F(StockTest, is_refilled_in_batches_once_half_is_gone) {
  keeper.add(kKey);
  keeper.proxy_ready();
  report(3);
  EXPECT_EQ(outlet.stock[kKey], 16u) << "13 are left: enough";
  report(4);
  EXPECT_EQ(outlet.stock[kKey], 16u);
  report(1);
  EXPECT_EQ(outlet.stock[kKey], 24u) << "8 are left: filled to 16 again";
}

TEST_F(StockTest, what_is_on_its_way_is_not_sent_twice) {
  keeper.add(kKey);
  keeper.proxy_ready();
  keeper.report({.key = kKey, .level = 4, .received = 16, .taken = 4});
  EXPECT_EQ(outlet.stock[kKey], 28u);
  keeper.report({.key = kKey, .level = 2, .received = 16, .taken = 2});
  EXPECT_EQ(outlet.stock[kKey], 28u) << "12 are under way";
}

TEST_F(StockTest, grows_with_use_up_to_its_bound) {
  keeper.add(kKey);
  keeper.proxy_ready();
  for (int i = 0; i < 20; ++i) report(keeper.gauges().level);
  EXPECT_EQ(keeper.gauges().target, StockPlan::kMax);
  EXPECT_LE(largest_batch, StockPlan::kMax);
  EXPECT_GT(keeper.counters().ran_dry, 0u);
}

TEST_F(StockTest, shrinks_while_it_idles_down_to_its_least_and_tells_the_proxy) {
  keeper.add(kKey);
  keeper.proxy_ready();
  report(8);
  EXPECT_EQ(keeper.gauges().target, 32u);
  report(0);
  for (int i = 0; i < 200; ++i) {
    clock.advance(seconds(1));
    keeper.tick();
  }
  EXPECT_EQ(keeper.gauges().target, StockPlan::kMin);
  EXPECT_EQ(outlet.targets[kKey], StockPlan::kMin);
  EXPECT_EQ(keeper.gauges().level, StockPlan::kMin);
}

TEST_F(StockTest, a_new_proxy_begins_with_a_full_one) {
  keeper.add(kKey);
  keeper.proxy_ready();
  keeper.proxy_gone();
  keeper.tick();
  EXPECT_EQ(outlet.stock[kKey], 16u);
  keeper.proxy_ready();
  EXPECT_EQ(outlet.stock[kKey], 32u);
}

TEST_F(StockTest, reports_of_strangers_and_boasters_change_nothing_for_the_worse) {
  keeper.add(kKey);
  keeper.proxy_ready();
  keeper.report({.key = {{"dev/other", 9}, model::StockKind::kOutbound, model::Family::kV4}, .level = 0});
  keeper.report({.key = kKey, .level = UINT32_MAX, .received = UINT32_MAX, .taken = 0});
  EXPECT_EQ(outlet.stock[kKey], 16u);
  keeper.report({.key = kKey, .level = 0, .received = UINT32_MAX, .taken = UINT64_MAX});
  EXPECT_LE(largest_batch, StockPlan::kMax);
}

TEST_F(StockTest, what_could_not_be_made_is_counted_and_tried_again) {
  broken = true;
  keeper.add(kKey);
  keeper.proxy_ready();
  EXPECT_EQ(keeper.counters().failures, 1u);
  broken = false;
  keeper.tick();
  EXPECT_EQ(outlet.stock[kKey], 16u);
}

TEST_F(StockTest, a_pod_that_left_gets_none) {
  keeper.add(kKey);
  keeper.remove_pod(kKey.pod);
  keeper.proxy_ready();
  EXPECT_EQ(outlet.stock[kKey], 0u);
}

}  // namespace
}  // namespace weft::enrol
