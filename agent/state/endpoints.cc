#include "agent/state/endpoints.h"

#include <algorithm>

namespace weft::state {
namespace {

bool is_up(const objects::SliceEndpoint& endpoint, const objects::Service& service) {
  if (endpoint.terminating || endpoint.addresses.empty()) return false;
  return endpoint.ready || service.publish_not_ready_addresses;
}

// The slice carries the numbers that target ports resolved to, under the name of the service's port.
uint16_t port_in(const objects::EndpointSlice& slice, const objects::ServicePort& port) {
  for (const objects::SlicePort& candidate : slice.ports)
    if (candidate.name == port.name && candidate.protocol == port.protocol) return candidate.port;
  return 0;
}

void add_slice(const objects::EndpointSlice& slice, const objects::Service& service, ReadyByPort& out) {
  for (size_t i = 0; i < service.ports.size(); ++i) {
    const uint16_t port = port_in(slice, service.ports[i]);
    if (port == 0) continue;
    for (const objects::SliceEndpoint& endpoint : slice.endpoints) {
      if (!is_up(endpoint, service)) continue;
      ReadyEndpoint ready{{endpoint.addresses.front(), port}, {}};
      if (endpoint.target.kind == "Pod") {
        ready.pod = {endpoint.target.ns.empty() ? slice.meta.ns : endpoint.target.ns, endpoint.target.name};
      }
      out[i].push_back(std::move(ready));
    }
  }
}

}  // namespace

ReadyByPort ready_endpoints(const objects::Service& service, const Objects<objects::EndpointSlice>& slices) {
  ReadyByPort out(service.ports.size());
  for (const auto& [key, slice] : slices)
    if (!slice->by_name) add_slice(*slice, service, out);
  for (std::vector<ReadyEndpoint>& port : out) {
    std::ranges::sort(port);
    // While slices are rebalanced an endpoint may stand in two of them.
    const auto doubles = std::ranges::unique(port, {}, &ReadyEndpoint::address);
    port.erase(doubles.begin(), doubles.end());
  }
  return out;
}

void PodIndex::assign(const std::vector<model::Workload>& workloads) {
  by_name_.clear();
  by_address_.clear();
  by_name_.reserve(workloads.size());
  by_address_.reserve(workloads.size());
  for (uint32_t i = 0; i < workloads.size(); ++i) {
    by_name_.emplace(model::key_of(workloads[i]), i);
    if (workloads[i].host_network) continue;  // the address is the node's
    for (const base::Address& address : workloads[i].addresses) by_address_.emplace(address, i);
  }
}

uint32_t PodIndex::find(const ReadyEndpoint& endpoint) const {
  if (!endpoint.pod.name.empty()) {
    const auto named = by_name_.find(endpoint.pod.ns + "/" + endpoint.pod.name);
    if (named != by_name_.end()) return named->second;
  }
  const auto found = by_address_.find(endpoint.address.address);
  return found == by_address_.end() ? model::kNone : found->second;
}

bool selects(const objects::Labels& selector, const objects::Labels& labels) {
  return std::ranges::all_of(selector, [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

std::vector<model::Endpoint> select(const std::vector<ReadyEndpoint>& ready, const ClusterPlan& plan,
                                    const PodIndex& pods, const std::vector<const objects::Labels*>& labels) {
  std::vector<model::Endpoint> out;
  out.reserve(ready.size());
  for (const ReadyEndpoint& endpoint : ready) {
    const uint32_t workload = pods.find(endpoint);
    if (plan.labels && !plan.labels->empty()) {
      if (workload == model::kNone || !selects(*plan.labels, *labels[workload])) continue;
    }
    out.push_back({endpoint.address, workload, 1});
  }
  return out;
}

}  // namespace weft::state
