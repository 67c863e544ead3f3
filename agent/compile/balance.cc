#include "agent/compile/balance.h"

#include <limits>

namespace weft::compile {
namespace {

// The part of `whole` that `share` is, as a threshold on a random u32.
uint32_t threshold_of(unsigned __int128 share, unsigned __int128 whole) {
  if (share >= whole) return std::numeric_limits<uint32_t>::max();
  auto scaled = (share << 32) / whole;
  return scaled == 0 ? 0 : static_cast<uint32_t>(scaled - 1);
}

}  // namespace

std::vector<AliasSlot> alias_table(const std::vector<uint32_t>& weights) {
  const auto count = static_cast<uint32_t>(weights.size());
  // A slot is `total` wide and weight i fills weight * count of it: what is over goes to slots that are not
  // full.
  unsigned __int128 total = 0;
  for (uint32_t weight : weights) total += weight;
  std::vector<unsigned __int128> share(count);
  std::vector<uint32_t> small, large;
  for (uint32_t i = 0; i < count; ++i) {
    share[i] = static_cast<unsigned __int128>(weights[i]) * count;
    (share[i] < total ? small : large).push_back(i);
  }
  std::vector<AliasSlot> slots(count);
  for (uint32_t i = 0; i < count; ++i) slots[i].alias = i;
  while (!small.empty() && !large.empty()) {
    const uint32_t poor = small.back(), rich = large.back();
    small.pop_back();
    slots[poor] = {threshold_of(share[poor], total), rich};
    share[rich] -= total - share[poor];
    if (share[rich] >= total) continue;
    large.pop_back();
    small.push_back(rich);
  }
  return slots;
}

}  // namespace weft::compile
