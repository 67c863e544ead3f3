#include "bpf/decide/balance.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

TEST(DecideBalance, EverySlotIsReachedEvenlyAndNoneBeyond) {
  EXPECT_EQ(weft_pick_slot(0, 7), 0U);
  EXPECT_EQ(weft_pick_slot(UINT32_MAX, 7), 6U);
  EXPECT_EQ(weft_pick_slot(UINT32_MAX, 1), 0U);
  std::map<uint32_t, int> slots;
  for (uint64_t i = 0; i < 7000; ++i)
    ++slots[weft_pick_slot(static_cast<uint32_t>((i * UINT32_MAX) / 7000), 7)];
  EXPECT_EQ(slots.size(), 7U);
  for (const auto& [slot, times] : slots) EXPECT_NEAR(times, 1000, 2) << slot;
}

TEST(DecideBalance, ARandomAboveTheThresholdTakesTheAlias) {
  weft_backend backend{};
  backend.keep_threshold = 1000;
  EXPECT_TRUE(weft_keeps_slot(&backend, 0));
  EXPECT_TRUE(weft_keeps_slot(&backend, 1000));
  EXPECT_FALSE(weft_keeps_slot(&backend, 1001));
  backend.keep_threshold = UINT32_MAX;
  EXPECT_TRUE(weft_keeps_slot(&backend, UINT32_MAX));
}

TEST(DecideBalance, TheSteadyRandomDependsOnBothSocketAndServiceAndSpreads) {
  EXPECT_EQ(weft_steady_random(1, 2), weft_steady_random(1, 2));
  std::set<uint64_t> values;
  std::map<uint32_t, int> high, low;
  for (uint64_t cookie = 1; cookie <= 100; ++cookie)
    for (uint32_t service = 1; service <= 40; ++service) {
      const uint64_t random = weft_steady_random(cookie, service);
      values.insert(random);
      ++high[weft_pick_slot(static_cast<uint32_t>(random >> 32), 4)];
      ++low[weft_pick_slot(static_cast<uint32_t>(random), 4)];
    }
  EXPECT_EQ(values.size(), 4000U);
  for (uint32_t slot = 0; slot < 4; ++slot) {
    EXPECT_NEAR(high[slot], 1000, 140);
    EXPECT_NEAR(low[slot], 1000, 140);
  }
}

TEST(DecideBalance, AffinityRunsOutAfterItsSecondsAndNotBefore) {
  weft_affinity former{};
  former.used_at = 5'000'000'000;
  weft_service service{};
  service.affinity_seconds = 10;
  EXPECT_TRUE(weft_affinity_fresh(&former, &service, 5'000'000'000));
  EXPECT_TRUE(weft_affinity_fresh(&former, &service, 15'000'000'000));
  EXPECT_FALSE(weft_affinity_fresh(&former, &service, 15'000'000'001));
  service.affinity_seconds = 86400;
  EXPECT_TRUE(weft_affinity_fresh(&former, &service, 86'405'000'000'000)) << "a day does not overflow";
}

TEST(DecideBalance, ANotedSlotMeansSomethingInItsOwnGenerationOnly) {
  weft_affinity former{};
  weft_service service{};
  former.generation = service.generation = 4;
  EXPECT_TRUE(weft_affinity_same_table(&former, &service));
  service.generation = 5;
  EXPECT_FALSE(weft_affinity_same_table(&former, &service));
}

TEST(DecideBalance, AffinityHoldsOnlyForTheVerySameBackend) {
  weft_affinity former{};
  former.address = at("10.0.0.7");
  former.port = 80;
  weft_backend found{};
  found.address = former.address;
  found.port = 80;
  EXPECT_TRUE(weft_affinity_holds(&former, &found));
  EXPECT_FALSE(weft_affinity_holds(&former, nullptr));
  found.port = 81;
  EXPECT_FALSE(weft_affinity_holds(&former, &found));
  found.port = 80;
  found.address = at("10.0.0.8");
  EXPECT_FALSE(weft_affinity_holds(&former, &found));
}

}  // namespace
}  // namespace weft::test
