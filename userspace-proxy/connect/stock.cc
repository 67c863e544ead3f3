#include "userspace-proxy/connect/stock.h"

#include <iterator>
#include <utility>

namespace weft::connect {

using model::Family;
using model::StockKind;

size_t Stock::slot_of(StockKind kind, Family family) {
  return (kind == StockKind::kInbound ? 2 : 0) + (family == Family::kV6 ? 1 : 0);
}

void Stock::add(const model::StockKey& key, std::vector<base::Fd> sockets) {
  PodStock& pod = pods_[key.pod.name];
  if (pod.netns_cookie != key.pod.netns_cookie) pod = PodStock{.netns_cookie = key.pod.netns_cookie};
  Pool& pool = pod.pools[slot_of(key.kind, key.family)];
  pool.sockets.insert(pool.sockets.end(), std::make_move_iterator(sockets.begin()),
                      std::make_move_iterator(sockets.end()));
  pool.high_water = pool.sockets.size();
  pool.starved = false;
  pool.changed = changed_ = true;
}

void Stock::trim(const model::StockKey& key, size_t keep) {
  const auto pod = pods_.find(key.pod.name);
  if (pod == pods_.end() || pod->second.netns_cookie != key.pod.netns_cookie) return;
  Pool& pool = pod->second.pools[slot_of(key.kind, key.family)];
  if (pool.sockets.size() > keep) pool.sockets.resize(keep);
  pool.high_water = pool.sockets.size();
  pool.changed = changed_ = true;
}

void Stock::drop(const model::PodKey& pod) {
  const auto found = pods_.find(pod.name);
  if (found != pods_.end() && found->second.netns_cookie == pod.netns_cookie) pods_.erase(found);
}

std::optional<base::Fd> Stock::take(std::string_view pod, StockKind kind, Family family) {
  const auto found = pods_.find(pod);
  if (found == pods_.end()) return std::nullopt;
  Pool& pool = found->second.pools[slot_of(kind, family)];
  if (pool.sockets.empty()) {
    // Said once until the next delivery: thousands may be waiting, and the agent needs to hear it only once.
    if (!std::exchange(pool.starved, true)) low_ = pool.changed = changed_ = true;
    return std::nullopt;
  }
  pool.changed = changed_ = true;
  base::Fd socket = std::move(pool.sockets.back());
  pool.sockets.pop_back();
  ++pool.taken;
  if (pool.sockets.size() < pool.high_water / 2) {
    low_ = true;
    pool.high_water = 0;  // said once; the next delivery sets it again
  }
  return socket;
}

std::vector<StockChange> Stock::draw_changes() {
  std::vector<StockChange> changes;
  for (auto& [name, pod] : pods_) {
    for (const StockKind kind : {StockKind::kOutbound, StockKind::kInbound}) {
      for (const Family family : {Family::kV4, Family::kV6}) {
        Pool& pool = pod.pools[slot_of(kind, family)];
        if (!std::exchange(pool.changed, false)) continue;
        changes.push_back({.key = {.pod = {name, pod.netns_cookie}, .kind = kind, .family = family},
                           .level = static_cast<uint32_t>(pool.sockets.size()),
                           .taken = std::exchange(pool.taken, 0)});
      }
    }
  }
  low_ = changed_ = false;
  return changes;
}

}  // namespace weft::connect
