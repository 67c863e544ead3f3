#include "userspace-proxy/worker/ledger.h"

#include <algorithm>

namespace weft::worker {

std::vector<int64_t>& Ledger::levels_of(const model::StockKey& key) {
  auto& levels = levels_[key];
  levels.resize(workers_);
  return levels;
}

std::vector<StockReport> Ledger::change(size_t worker, const std::vector<connect::StockChange>& changes) {
  std::vector<StockReport> reports;
  for (const auto& change : changes) {
    auto& levels = levels_of(change.key);
    levels[worker] = change.level == 0 ? kDry : change.level;
    const int64_t least = std::max<int64_t>(0, std::ranges::min(levels));
    reports.push_back({.key = change.key,
                       .level = static_cast<uint32_t>(least * static_cast<int64_t>(workers_)),
                       .taken = change.taken});
  }
  return reports;
}

std::vector<size_t> Ledger::deal(const model::StockKey& key, size_t count) {
  auto& levels = levels_of(key);
  std::vector<size_t> shares(workers_);
  for (size_t i = 0; i < count; ++i) {
    const auto emptiest = static_cast<size_t>(std::ranges::min_element(levels) - levels.begin());
    levels[emptiest] = std::max<int64_t>(0, levels[emptiest]) + 1;
    ++shares[emptiest];
  }
  return shares;
}

void Ledger::drop(const model::PodKey& pod) {
  std::erase_if(levels_, [&](const auto& entry) { return entry.first.pod == pod; });
}

}  // namespace weft::worker
