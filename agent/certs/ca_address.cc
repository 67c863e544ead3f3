#include "agent/certs/ca_address.h"

#include <algorithm>
#include <utility>

namespace weft::certs {
namespace {

constexpr size_t kMostKnown = 2;  // a Service has at most one of each family

// "control.weft-system.svc" names the host "control.weft-system.svc.cluster.local". One label alone names nobody: which
// namespace it means depends on who asks.
bool names(std::string_view host, std::string_view service) {
  if (!host.contains('.') || !service.starts_with(host)) return false;
  return service.size() == host.size() || service[host.size()] == '.';
}

}  // namespace

// What is no endpoint is left to who calls it: he has the words for it.
CaAddress::CaAddress(std::string endpoint)
    : endpoint_(std::move(endpoint)), parts_(grpc::split_endpoint(endpoint_).value_or(grpc::Endpoint{})) {}

void CaAddress::learn(const model::Snapshot& snapshot) {
  std::vector<std::string> known;
  const auto service =
      std::ranges::find_if(snapshot.services, [this](const auto& one) { return names(parts_.host, one.hostname); });
  if (service != snapshot.services.end())
    for (const base::Address& address : service->addresses)
      if (known.size() < kMostKnown)
        known.push_back((address.is_v4() ? address.to_string() : "[" + address.to_string() + "]") + ":" + parts_.port);
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
