#pragma once
#include <map>
#include <vector>

#include "userspace-proxy/connect/stock.h"

namespace weft::worker {

struct StockReport {
  model::StockKey key;
  uint32_t level = 0;  // what the emptiest worker has, times the workers: none may run dry beside a full one
  uint64_t taken = 0;  // since the last report
};

// Sums the stock of all workers for the agent, and deals what the agent sends to the workers, the emptiest
// first. Owned by the Fleet, used in the feed's thread.
class Ledger {
 public:
  explicit Ledger(size_t workers) : workers_(workers) {}

  [[nodiscard]] std::vector<StockReport> change(size_t worker,
                                                const std::vector<connect::StockChange>& changes);
  // How many of `count` new sockets each worker gets.
  [[nodiscard]] std::vector<size_t> deal(const model::StockKey& key, size_t count);
  void drop(const model::PodKey& pod);

 private:
  [[nodiscard]] std::vector<int64_t>& levels_of(const model::StockKey& key);

  size_t workers_;
  // By worker, as last known. kDry: it has used its last one, and goes before workers that never asked.
  static constexpr int64_t kDry = -1;
  std::map<model::StockKey, std::vector<int64_t>> levels_;
};

}  // namespace weft::worker
