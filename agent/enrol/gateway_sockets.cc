#include "agent/enrol/gateway_sockets.h"

#include <sys/socket.h>

#include <algorithm>

#include "agent/enrol/sockets.h"
#include "agent/kernel/kernel.h"
#include "userspace-proxy/base/log.h"

namespace weft::enrol {
namespace {

constexpr base::Nanos kTick = std::chrono::seconds(1);

base::Result<std::vector<base::Fd>> make_own_stock(const model::StockKey& key, uint32_t count) {
  std::vector<base::Fd> sockets;
  while (sockets.size() < count) {
    TRY_ASSIGN(base::Fd socket, make_stock_socket(key.kind, key.family, 0));
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

model::Family family_of(const base::Address& address) {
  return address.is_v4() ? model::Family::kV4 : model::Family::kV6;
}

}  // namespace

base::Result<std::unique_ptr<GatewaySockets>> GatewaySockets::create(base::Loop& loop,
                                                                     publish::Outlet& outlet) {
  TRY_ASSIGN(const uint64_t cookie, kernel::own_netns_cookie());
  return std::unique_ptr<GatewaySockets>(new GatewaySockets(loop, outlet, cookie));
}

GatewaySockets::GatewaySockets(base::Loop& loop, publish::Outlet& outlet, uint64_t netns_cookie)
    : loop_(loop),
      outlet_(outlet),
      netns_cookie_(netns_cookie),
      timer_(loop.timers(), [this] { tick(); }),
      stock_(loop.clock(), outlet, make_own_stock) {
  timer_.arm(kTick);
}

void GatewaySockets::apply(const model::Snapshot& snapshot) {
  wanted_.clear();
  // Its own pod may not be known yet: nothing is opened before.
  if (snapshot.self != model::kNone) {
    const model::Workload& self = snapshot.workloads[snapshot.self];
    const model::PodKey pod{model::key_of(self), netns_cookie_};
    for (const base::Address& address : self.addresses) {
      const model::Family family = family_of(address);
      stock_.add({pod, model::StockKind::kOutbound, family});
      for (const model::GatewayListener& listener : snapshot.gateway_listeners)
        wanted_.try_emplace({pod, model::ListenerKind::kGateway, family, listener.bind_port},
                            base::SocketAddress{address, listener.bind_port});
    }
  }
  std::erase_if(problems_, [&](const auto& entry) { return !wanted_.contains(entry.first); });
  std::erase_if(open_, [&](const model::ListenerKey& key) {
    if (wanted_.contains(key)) return false;
    outlet_.remove_listener(key);
    return true;
  });
  open_missing();
}

void GatewaySockets::open_missing() {
  for (const auto& [key, address] : wanted_) {
    if (open_.contains(key)) continue;
    auto socket = make_plain_listener(address);
    if (!socket) {
      std::string why = base::describe(socket.error());
      if (problems_[key] != why) spdlog::error("enrol: gateway: {}", why);
      problems_[key] = std::move(why);
      continue;
    }
    problems_.erase(key);
    open_.insert(key);
    outlet_.add_listener(key, std::make_shared<const base::Fd>(std::move(*socket)));
  }
}

void GatewaySockets::tick() {
  timer_.arm(kTick);
  open_missing();
  stock_.tick();
}

std::map<uint16_t, std::string> GatewaySockets::problems() const {
  std::map<uint16_t, std::string> all;
  for (const auto& [key, why] : problems_) {
    std::string& text = all[key.gateway_port];
    text += (text.empty() ? "" : "; ") + why;
  }
  return all;
}

void GatewaySockets::on_proxy_ready(publish::ProxyId proxy) {
  loop_.post([this, proxy] {
    proxies_.insert(proxy);
    stock_.proxy_ready();
  });
}

void GatewaySockets::on_proxy_gone(publish::ProxyId proxy) {
  loop_.post([this, proxy] {
    const bool newest = !proxies_.empty() && *proxies_.rbegin() == proxy;
    proxies_.erase(proxy);
    if (proxies_.empty()) return stock_.proxy_gone();
    if (newest) stock_.proxy_ready();
  });
}

void GatewaySockets::on_stock_level(publish::ProxyId proxy, const model::StockLevel& report) {
  loop_.post([this, proxy, report] {
    if (!proxies_.empty() && proxy == *proxies_.rbegin()) stock_.report(report);
  });
}

}  // namespace weft::enrol
