#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/enrol/stock.h"
#include "agent/publish/publisher.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::enrol {

// Role gateway: the sockets of a proxy that stands in the pod of its own, made without any privilege:
// listeners on the pod's addresses for Snapshot::gateway_listeners, and stock to dial with. Owned by main;
// lives in the thread of `loop`, save the events of the Publisher, which may come from its thread. `outlet`
// outlives it.
class GatewaySockets final : public publish::PublisherEvents {
 public:
  static base::Result<std::unique_ptr<GatewaySockets>> create(base::Loop& loop, publish::Outlet& outlet);

  // Opens what is new, closes what is not asked for any more.
  void apply(const model::Snapshot& snapshot);
  // Ports that cannot be opened, and why; tried again every second.
  [[nodiscard]] std::map<uint16_t, std::string> problems() const;
  [[nodiscard]] StockGauges stock() const { return stock_.gauges(); }
  [[nodiscard]] const StockCounters& stock_counters() const { return stock_.counters(); }

  void on_proxy_ready(publish::ProxyId proxy) override;
  void on_proxy_gone(publish::ProxyId proxy) override;
  void on_stock_level(publish::ProxyId proxy, const model::StockLevel& report) override;
  void on_verdict(publish::ProxyId, const model::Verdict&) override {}

 private:
  GatewaySockets(base::Loop& loop, publish::Outlet& outlet, uint64_t netns_cookie);
  void open_missing();
  void tick();

  base::Loop& loop_;
  publish::Outlet& outlet_;
  const uint64_t netns_cookie_;
  base::Timer timer_;
  StockKeeper stock_;
  std::set<publish::ProxyId> proxies_;
  std::map<model::ListenerKey, base::SocketAddress> wanted_;
  std::set<model::ListenerKey> open_;
  std::map<model::ListenerKey, std::string> problems_;
};

}  // namespace weft::enrol
