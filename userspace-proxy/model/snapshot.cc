#include "userspace-proxy/model/snapshot.h"

#include <algorithm>

namespace weft::model {

std::string key_of(const Workload& workload) { return workload.ns + "/" + workload.name; }

std::string identity_of(const Workload& workload, const Settings& settings) {
  return spiffe_id_of(workload, settings).to_string();
}

SpiffeId spiffe_id_of(const Workload& workload, const Settings& settings) {
  return {settings.trust_domain, workload.ns, workload.service_account};
}

bool excludes(const Workload& workload, uint16_t port) {
  const auto& ports = workload.excluded_ports;
  return !ports.empty() && (ports.front() == 0 || std::ranges::binary_search(ports, port));
}

bool needs_tunnel(const Snapshot& snapshot, uint32_t source, uint32_t destination, uint16_t port) {
  if (!snapshot.settings.mutual_tls || destination >= snapshot.workloads.size()) return false;
  const Workload& to = snapshot.workloads[destination];
  if (!to.enrolled || to.host_network || source == destination || excludes(to, port)) return false;
  // The kernel vouches for pods of one node; a gateway's calls it does not see.
  if (!to.local || snapshot.role == Role::kGateway) return true;
  return to.same_node_tls || (source < snapshot.workloads.size() && snapshot.workloads[source].same_node_tls);
}

}  // namespace weft::model
