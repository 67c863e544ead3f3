#include "userspace-proxy/route/balance.h"

namespace weft::route::balance_detail {

uint64_t total_weight(const std::vector<model::Endpoint>& endpoints) {
  uint64_t total = 0;
  for (const auto& endpoint : endpoints) total += endpoint.weight;
  return total;
}

size_t weighted(const std::vector<model::Endpoint>& endpoints, uint64_t total, uint32_t draw) {
  // Equal weights of one, and the odd cluster whose weights are all nought.
  if (total == endpoints.size() || total == 0) return (static_cast<uint64_t>(draw) * endpoints.size()) >> 32;
  uint64_t point = (static_cast<unsigned __int128>(draw) * total) >> 32;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    if (point < endpoints[i].weight) return i;
    point -= endpoints[i].weight;
  }
  return endpoints.size() - 1;
}

}  // namespace weft::route::balance_detail
