#pragma once
// Which endpoint of a cluster: least request, Istio's default (http-semantics 5). Pure.
#include <concepts>
#include <cstdint>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::route {

namespace balance_detail {
// An index into `endpoints` for a 32-bit draw: in proportion to weight, or evenly where all weights are one.
[[nodiscard]] size_t weighted(const std::vector<model::Endpoint>& endpoints, uint64_t total_weight,
                              uint32_t draw);
[[nodiscard]] uint64_t total_weight(const std::vector<model::Endpoint>& endpoints);
}  // namespace balance_detail

// Draws two endpoints and takes the one with fewer running requests. `active(endpoint)` counts them; `draw`
// is 64 random bits; `avoid` (an index, or SIZE_MAX) is passed over while there is another. SIZE_MAX when
// there is none.
template <typename Active>
  requires std::invocable<Active, const model::Endpoint&>
[[nodiscard]] size_t pick_endpoint(const std::vector<model::Endpoint>& endpoints, uint64_t draw, size_t avoid,
                                   Active&& active) {
  const size_t count = endpoints.size();
  if (count <= 1) return count == 0 ? SIZE_MAX : 0;
  const uint64_t total = balance_detail::total_weight(endpoints);
  size_t first = balance_detail::weighted(endpoints, total, static_cast<uint32_t>(draw));
  size_t second = balance_detail::weighted(endpoints, total, static_cast<uint32_t>(draw >> 32));
  if (first == second) second = (first + 1) % count;
  if (first == avoid) return second;
  if (second == avoid) return first;
  return active(endpoints[second]) < active(endpoints[first]) ? second : first;
}

}  // namespace weft::route
