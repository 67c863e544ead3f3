#include "agent/compile/balance.h"

#include <gtest/gtest.h>

#include <cmath>

namespace weft::compile {
namespace {

// The share that each slot gets when a slot is drawn evenly and then a random u32.
std::vector<double> shares_of(const std::vector<AliasSlot>& slots) {
  std::vector<double> out(slots.size());
  const double slot_share = 1.0 / static_cast<double>(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const double keep = (static_cast<double>(slots[i].keep_threshold) + 1) / 4294967296.0;
    out[i] += keep * slot_share;
    out[slots[i].alias] += (1 - keep) * slot_share;
  }
  return out;
}

void expect_shares(const std::vector<uint32_t>& weights) {
  double total = 0;
  for (uint32_t weight : weights) total += weight;
  const auto shares = shares_of(alias_table(weights));
  for (size_t i = 0; i < weights.size(); ++i)
    EXPECT_NEAR(shares[i], weights[i] / total, 1e-8) << "slot " << i;
}

TEST(AliasTable, EqualWeightsKeepEverySlot) {
  for (const auto& slot : alias_table({1, 1, 1, 1, 1})) EXPECT_EQ(slot.keep_threshold, UINT32_MAX);
}

TEST(AliasTable, SharesAreProportionalToWeights) {
  expect_shares({1});
  expect_shares({9, 1});
  expect_shares({1, 2, 3, 4, 5, 6, 7});
  expect_shares({100, 1, 1, 1});
  expect_shares({3, 3, 1});
  expect_shares({1000000000, 1, 4000000000});
}

TEST(AliasTable, ATableWithoutBackendsIsEmpty) {
  EXPECT_TRUE(alias_table({}).empty());
}

TEST(AliasTable, EveryAliasIsASlot) {
  std::vector<uint32_t> weights;
  for (uint32_t i = 1; i <= 500; ++i) weights.push_back(i * i % 97 + 1);
  for (const auto& slot : alias_table(weights)) EXPECT_LT(slot.alias, weights.size());
  expect_shares(weights);
}

}  // namespace
}  // namespace weft::compile
