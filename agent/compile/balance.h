#pragma once
// Weighted choice in constant time: Vose's alias method in whole numbers.
#include <cstdint>
#include <vector>

namespace weft::compile {

// One slot per weight, each drawn with the same chance; then a random u32 above `keep_threshold` takes
// `alias` instead.
struct AliasSlot {
  uint32_t keep_threshold = UINT32_MAX;
  uint32_t alias = 0;
  auto operator<=>(const AliasSlot&) const = default;
};

// REQUIRES: no weight is 0. Shares are exact to 2^-32 of a slot.
[[nodiscard]] std::vector<AliasSlot> alias_table(const std::vector<uint32_t>& weights);

}  // namespace weft::compile
