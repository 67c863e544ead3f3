#include "userspace-proxy/identify/index.h"

#include <algorithm>

namespace weft::identify {
namespace {

Candidates pick(const model::Cluster& cluster, const auto& usable) {
  Candidates found;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < cluster.endpoints.size(); ++i) {
    if (cluster.endpoints[i].weight == 0 || !usable(cluster.endpoints[i])) continue;
    sum += cluster.endpoints[i].weight;
    found.endpoints.push_back(i);
    found.up_to.push_back(sum);
  }
  return found;
}

// The kernel has already served the share of the endpoints that it can reach itself (local ones, and those
// outside the mesh), so that the proxy chooses among the others only; if there are none, among all. A caller
// is served in its own address family where the service has it. `tls`: the caller wants TLS also on its own node.
Candidates candidates_of(const model::Snapshot& snapshot, const model::Cluster& cluster, bool v4, bool tls) {
  const auto is_remote = [&](const model::Endpoint& endpoint) {
    if (endpoint.workload == model::kNone) return false;
    const auto& workload = snapshot.workloads[endpoint.workload];
    if (model::excludes(workload, endpoint.address.port)) return false;
    return workload.enrolled && (!workload.local || tls || workload.same_node_tls);
  };
  const auto is_alike = [&](const model::Endpoint& endpoint) {
    return endpoint.address.address.is_v4() == v4;
  };
  auto found = pick(cluster, [&](const auto& endpoint) { return is_alike(endpoint) && is_remote(endpoint); });
  if (found.endpoints.empty()) found = pick(cluster, is_alike);
  if (found.endpoints.empty()) found = pick(cluster, is_remote);
  if (found.endpoints.empty()) found = pick(cluster, [](const model::Endpoint&) { return true; });
  return found;
}

}  // namespace

Index::Index(model::SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {
  index_services();
  index_local_endpoints();
  index_workloads();
}

void Index::index_local_endpoints() {
  for (const auto& cluster : snapshot_->clusters)
    for (const auto& endpoint : cluster.endpoints) {
      if (endpoint.workload == model::kNone || !snapshot_->workloads[endpoint.workload].local) continue;
      auto& services = behind_[endpoint.address];
      if (std::ranges::find(services, cluster.service) == services.end()) services.push_back(cluster.service);
    }
}

void Index::index_services() {
  const auto& services = snapshot_->services;
  for (uint32_t s = 0; s < services.size(); ++s) {
    by_hostname_.emplace(services[s].hostname, s);
    for (uint32_t p = 0; p < services[s].ports.size(); ++p) {
      const auto& port = services[s].ports[p];
      if (port.protocol == model::Protocol::kUdp) continue;
      for (const auto& address : services[s].addresses)
        services_.emplace(base::SocketAddress{address, port.port}, ServiceRef{s, p});
      if (port.cluster != model::kNone)
        for (const bool v4 : {false, true})
          for (const bool tls : {false, true})
            candidates_[port.cluster][v4 + 2 * tls] =
                candidates_of(*snapshot_, snapshot_->clusters[port.cluster], v4, tls);
    }
  }
}

void Index::index_workloads() {
  const auto& workloads = snapshot_->workloads;
  for (uint32_t w = 0; w < workloads.size(); ++w) {
    by_name_.emplace(model::key_of(workloads[w]), w);
    // The address of a host-network pod is its node's, and says nothing about who calls.
    if (workloads[w].host_network) continue;
    for (const auto& address : workloads[w].addresses) by_address_.emplace(address, w);
  }
  for (uint32_t i = 0; i < snapshot_->local_pods.size(); ++i)
    local_pods_.emplace(snapshot_->local_pods[i].workload, i);
}

ServiceRef Index::service_at(const base::SocketAddress& address) const {
  const auto found = services_.find(address);
  return found == services_.end() ? ServiceRef{} : found->second;
}

uint32_t Index::service_behind(const base::SocketAddress& endpoint, std::string_view hostname) const {
  const auto found = behind_.find(endpoint);
  if (found == behind_.end()) return model::kNone;
  for (const uint32_t service : found->second)
    if (service != model::kNone && snapshot_->services[service].hostname == hostname) return service;
  return found->second.front();
}

uint16_t Index::port_behind(const NamedPort& named, const base::Address& pod) const {
  const auto found = by_hostname_.find(std::string(named.hostname));
  if (found == by_hostname_.end()) return 0;
  for (const auto& port : snapshot_->services[found->second].ports) {
    if (port.port != named.port || port.cluster == model::kNone) continue;
    for (const auto& endpoint : snapshot_->clusters[port.cluster].endpoints)
      if (endpoint.address.address == pod) return endpoint.address.port;
  }
  return 0;
}

uint32_t Index::workload_at(const base::Address& address) const {
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? model::kNone : found->second;
}

uint32_t Index::workload_named(std::string_view pod) const {
  const auto found = by_name_.find(std::string(pod));
  return found == by_name_.end() ? model::kNone : found->second;
}

const model::LocalPod* Index::local_pod(uint32_t workload) const {
  const auto found = local_pods_.find(workload);
  return found == local_pods_.end() ? nullptr : &snapshot_->local_pods[found->second];
}

const model::GatewayListener* Index::gateway_listener(uint16_t bind_port) const {
  const auto& all = snapshot_->gateway_listeners;
  const auto found = std::ranges::find(all, bind_port, &model::GatewayListener::bind_port);
  return found == all.end() ? nullptr : &*found;
}

const Candidates& Index::candidates(uint32_t cluster, bool v4, bool tls) const {
  static const Candidates kEmpty;
  const auto found = candidates_.find(cluster);
  return found == candidates_.end() ? kEmpty : found->second[v4 + 2 * tls];
}

}  // namespace weft::identify
