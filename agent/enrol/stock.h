#pragma once
// How many unconnected sockets the proxy should hold of each kind, family and pod.
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "agent/publish/outlet.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/channel.h"

namespace weft::enrol {

// The plan for one key: doubles while a stock runs low within one report, halves while nobody takes from it.
// Pure.
class StockPlan {
 public:
  static constexpr uint32_t kMin = 4, kFirst = 16, kMax = 1024;
  static constexpr base::Nanos kIdle = std::chrono::seconds(10);

  explicit StockPlan(base::Instant now) : last_use_(now) {}

  // The proxy is a new one and has nothing.
  void reset(base::Instant now);
  // How many to send now: to an empty stock all of it, else once half is gone.
  [[nodiscard]] uint32_t refill() const;
  void sent(uint32_t count) { sent_ += count; }
  void report(const model::StockLevel& report, base::Instant now);
  // True when the target has shrunk: the proxy has to be told.
  bool shrink(base::Instant now);

  [[nodiscard]] uint32_t target() const { return target_; }
  [[nodiscard]] uint32_t level() const { return level_ + in_flight(); }

 private:
  [[nodiscard]] uint32_t in_flight() const { return sent_ - received_; }

  uint32_t target_ = kFirst;
  uint32_t level_ = 0;     // in the proxy's pools at its last report
  uint32_t sent_ = 0;      // since the proxy connected
  uint32_t received_ = 0;  // of these, what the proxy had received at its last report
  base::Instant last_use_;
};

struct StockGauges {
  uint64_t level = 0;   // sockets in the proxy or on their way to it
  uint64_t target = 0;  // what there should be
};

struct StockCounters {
  uint64_t made = 0, failures = 0, ran_dry = 0;  // ran_dry: reports of an empty stock that was in use
};

// Keeps every stock filled. Owned by Enroller or GatewaySockets, in their thread.
class StockKeeper {
 public:
  using Make = std::function<base::Result<std::vector<base::Fd>>(const model::StockKey& key, uint32_t count)>;

  StockKeeper(const base::Clock& clock, publish::Outlet& outlet, Make make)
      : clock_(clock), outlet_(outlet), make_(std::move(make)) {}

  void add(const model::StockKey& key);
  void remove_pod(const model::PodKey& pod);
  // A proxy came (fill everything) or the last one went (make nothing).
  void proxy_ready();
  void proxy_gone() { proxy_there_ = false; }
  void report(const model::StockLevel& report);
  // Now and then: shrinks what idles, tries again what could not be made.
  void tick();

  [[nodiscard]] StockGauges gauges() const;
  [[nodiscard]] const StockCounters& counters() const { return counters_; }

 private:
  void refill(const model::StockKey& key, StockPlan& plan);

  const base::Clock& clock_;
  publish::Outlet& outlet_;
  const Make make_;
  bool proxy_there_ = false;
  bool failing_ = false;  // the last attempt to make some; said once
  std::map<model::StockKey, StockPlan> plans_;
  StockCounters counters_;
};

}  // namespace weft::enrol
