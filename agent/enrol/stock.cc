#include "agent/enrol/stock.h"

#include <algorithm>
#include <utility>

#include "userspace-proxy/base/log.h"

namespace weft::enrol {

void StockPlan::reset(base::Instant now) {
  level_ = sent_ = received_ = 0;
  last_use_ = now;
}

uint32_t StockPlan::refill() const {
  const uint32_t have = level();
  return have <= target_ / 2 ? target_ - have : 0;
}

void StockPlan::report(const model::StockLevel& report, base::Instant now) {
  level_ = report.level;
  // A proxy that claims to have received more than was sent is not believed.
  received_ = std::min(report.received, sent_);
  if (report.taken == 0) return;
  last_use_ = now;
  // Half of it went before the proxy could say so: under this load it would soon run dry.
  if (report.taken >= target_ / 2) target_ = std::min(target_ * 2, kMax);
}

bool StockPlan::shrink(base::Instant now) {
  if (target_ <= kMin || now - last_use_ < kIdle) return false;
  target_ = std::max(target_ / 2, kMin);
  last_use_ = now;
  // What the proxy will close.
  level_ = std::min(level_, target_);
  return true;
}

void StockKeeper::add(const model::StockKey& key) {
  const auto [it, fresh] = plans_.try_emplace(key, clock_.now());
  if (fresh) refill(key, it->second);
}

void StockKeeper::remove_pod(const model::PodKey& pod) {
  std::erase_if(plans_, [&](const auto& entry) { return entry.first.pod == pod; });
}

void StockKeeper::proxy_ready() {
  proxy_there_ = true;
  for (auto& [key, plan] : plans_) {
    plan.reset(clock_.now());
    refill(key, plan);
  }
}

void StockKeeper::report(const model::StockLevel& report) {
  const auto it = plans_.find(report.key);
  if (it == plans_.end()) return;  // of a pod that has left meanwhile
  it->second.report(report, clock_.now());
  if (report.level == 0 && report.taken > 0) ++counters_.ran_dry;
  refill(it->first, it->second);
}

void StockKeeper::tick() {
  for (auto& [key, plan] : plans_) {
    if (plan.shrink(clock_.now())) outlet_.set_stock_target(key, plan.target());
    refill(key, plan);
  }
}

void StockKeeper::refill(const model::StockKey& key, StockPlan& plan) {
  const uint32_t count = proxy_there_ ? plan.refill() : 0;
  if (count == 0) return;
  auto sockets = make_(key, count);
  if (!sockets) {
    ++counters_.failures;
    if (!std::exchange(failing_, true))
      spdlog::error("enrol: stock of {}: {}", key.pod.name, base::describe(sockets.error()));
    return;
  }
  failing_ = false;
  counters_.made += count;
  plan.sent(count);
  outlet_.add_stock(key, std::move(*sockets));
}

StockGauges StockKeeper::gauges() const {
  StockGauges gauges;
  for (const auto& [key, plan] : plans_) {
    gauges.level += plan.level();
    gauges.target += plan.target();
  }
  return gauges;
}

}  // namespace weft::enrol
