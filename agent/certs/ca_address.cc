#include "agent/certs/ca_address.h"

#include <algorithm>
#include <utility>

namespace weft::certs {
namespace {

constexpr size_t kMostKnown = 2;  // one of each family

std::string host_of(const std::string& endpoint) {
  std::string host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

// "control.weft-system.svc" names the host "control.weft-system.svc.cluster.local". One label alone names nobody: which
// namespace it means depends on who asks.
bool names(std::string_view host, std::string_view service) {
  if (!host.contains('.') || !service.starts_with(host)) return false;
  return service.size() == host.size() || service[host.size()] == '.';
}

}  // namespace

CaAddress::CaAddress(std::string endpoint)
    : endpoint_(std::move(endpoint)),
      host_(host_of(endpoint_)),
      port_(endpoint_.substr(std::min(endpoint_.rfind(':'), endpoint_.size() - 1) + 1)) {}

void CaAddress::learn(const model::Snapshot& snapshot) {
  std::vector<std::string> known;
  const auto service =
      std::ranges::find_if(snapshot.services, [this](const auto& one) { return names(host_, one.hostname); });
  if (service != snapshot.services.end())
    for (const base::Address& address : service->addresses)
      if (known.size() < kMostKnown)
        known.push_back((address.is_v4() ? address.to_string() : "[" + address.to_string() + "]") + ":" + port_);
  const base::MutexLock lock(mutex_);
  known_ = std::move(known);
}

std::vector<std::string> CaAddress::endpoints() const {
  const base::MutexLock lock(mutex_);
  std::vector<std::string> out = known_;
  out.push_back(endpoint_);
  return out;
}

}  // namespace weft::certs
