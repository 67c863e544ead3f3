#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/model/channel.h"

namespace weft::connect {

struct StockChange {
  model::StockKey key;
  uint32_t level = 0;  // sockets in this worker's pool now
  uint64_t taken = 0;  // since the last change of this key that was drawn
};

// Unconnected sockets that the agent has made inside pods' networks, waiting to be used: one worker's share.
// Owned by its StockDialer, used in its thread.
class Stock {
 public:
  // Sockets of a pod with a new cookie replace those of its predecessor.
  void add(const model::StockKey& key, std::vector<base::Fd> sockets);
  // Closes what is beyond `keep`.
  void trim(const model::StockKey& key, size_t keep);
  void drop(const model::PodKey& pod);

  [[nodiscard]] std::optional<base::Fd> take(std::string_view pod, model::StockKind kind,
                                             model::Family family);
  // Some pool has fallen under half of its high water since the last call of draw_changes().
  [[nodiscard]] bool low() const { return low_; }
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] std::vector<StockChange> draw_changes();

 private:
  struct Pool {
    std::vector<base::Fd> sockets;
    size_t high_water = 0;  // level after the last delivery
    uint64_t taken = 0;
    bool changed = false;
    bool starved = false;  // found empty, and said so
  };
  struct PodStock {
    uint64_t netns_cookie = 0;
    std::array<Pool, 4> pools;  // by kind and family
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>{}(name); }
  };
  static size_t slot_of(model::StockKind kind, model::Family family);

  std::unordered_map<std::string, PodStock, Hash, std::equal_to<>> pods_;
  bool low_ = false, changed_ = false;
};

}  // namespace weft::connect
