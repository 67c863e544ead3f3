#pragma once
#include <list>
#include <memory>

#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/connect/dialer.h"
#include "userspace-proxy/connect/port_walk.h"
#include "userspace-proxy/connect/stock.h"
#include "userspace-proxy/observe/counters.h"

namespace weft::connect {

// Told how a worker's stock has changed, when it runs low and once a second while it changes.
class StockReports {
 public:
  virtual ~StockReports() = default;
  virtual void on_stock_changes(std::vector<StockChange> changes) = 0;
};

// Dials with stocked sockets. A dial that finds none waits kStockWait for the agent's next delivery and then
// fails. Owned by a worker, lives in its thread; outlives every Dial it has given out.
class StockDialer final : public Dialer {
 public:
  static constexpr base::Nanos kStockWait = base::Millis(2000);
  static constexpr base::Nanos kReportEvery = base::Millis(1000);
  static constexpr size_t kMaxWaiting = 4096;

  StockDialer(base::Loop& loop, observe::Counters& counters, StockReports& reports,
              PortWalk ports = {});
  ~StockDialer() override;

  [[nodiscard]] std::unique_ptr<Dial> dial(const DialTarget& target, DialHandler& handler) override;

  void add_stock(const model::StockKey& key, std::vector<base::Fd> sockets);
  void trim_stock(const model::StockKey& key, size_t keep) { stock_.trim(key, keep); }
  void drop_pod(const model::PodKey& pod) { stock_.drop(pod); }

 private:
  class Attempt;
  friend class Attempt;
  class Handle;

  [[nodiscard]] std::optional<base::Fd> take(std::string_view pod, bool inbound, bool v4);
  void report_if_due();
  void forget(Attempt& attempt);

  base::Loop& loop_;
  observe::Counters& counters_;
  StockReports& reports_;
  Stock stock_;
  PortWalk ports_;
  base::Timer report_timer_;
  std::list<std::unique_ptr<Attempt>> attempts_;
  std::list<Attempt*> waiting_;  // for stock, oldest first
};

}  // namespace weft::connect
