#include "agent/compile/compile.h"

#include <netinet/in.h>

#include <algorithm>

#include "agent/compile/balance.h"
#include "agent/compile/policy.h"
#include "bpf/decide/exclude.h"

namespace weft::compile {
namespace {

weft_address kernel_address(const base::Address& address) {
  weft_address out;
  std::memcpy(out.bytes, address.bytes.data(), sizeof out.bytes);
  return out;
}

weft_service_key service_key(const base::Address& address, uint16_t port, uint8_t protocol) {
  return {.address = kernel_address(address), .port = port, .protocol = protocol, .pad = 0};
}

std::string account_key(const model::Workload& workload) {
  return workload.ns + "/" + workload.service_account;
}

uint32_t workload_flags(const model::Workload& workload) {
  uint32_t flags = 0;
  if (workload.enrolled) flags |= WEFT_WORKLOAD_ENROLLED;
  if (workload.local) flags |= WEFT_WORKLOAD_LOCAL;
  if (workload.local && workload.same_node_tls) flags |= WEFT_WORKLOAD_TLS_SAME_NODE;
  if (!workload.excluded_ports.empty()) flags |= WEFT_WORKLOAD_EXCLUDES;
  return flags;
}

// A backend at a port that its pod leaves out of the mesh is one that is not enrolled.
uint16_t backend_flags(const model::Workload& workload, uint16_t port) {
  uint32_t flags = workload_flags(workload) & ~uint32_t{WEFT_WORKLOAD_EXCLUDES};
  if (model::excludes(workload, port)) flags = (flags & ~uint32_t{WEFT_WORKLOAD_ENROLLED}) | WEFT_WORKLOAD_EXCLUDES;
  return static_cast<uint16_t>(flags);
}

weft_exclusion_key port_exclusion(uint32_t pod_id, uint16_t port) {
  weft_exclusion_key key;
  weft_exclusion_of_port(pod_id, port, &key);
  return key;
}

// Bits beyond the prefix are zero already: see objects::Exclusions.
weft_exclusion_key range_exclusion(uint32_t pod_id, const base::Cidr& range) {
  const weft_address address = kernel_address(range.address);
  weft_exclusion_key key;
  weft_exclusion_of_address(pod_id, &address, &key);
  key.prefix_length = WEFT_EXCLUSION_FIXED_BITS + range.prefix_length;
  return key;
}

weft_exclusion_key arrival_exclusion(const base::Address& at, uint16_t port) {
  const weft_address address = kernel_address(at);
  weft_exclusion_key key;
  weft_exclusion_of_arrival(&address, port, &key);
  return key;
}

uint32_t kinds_of(const Table<weft_policy_key, weft_policy>& entries) {
  uint32_t kinds = 0;
  for (const auto& [key, rule] : entries) kinds |= WEFT_POLICY_KIND(key.action, key.subject, key.port);
  return kinds;
}

// One compile run over one snapshot.
class Run {
 public:
  Run(const model::Snapshot& snapshot, Ids& ids) : snapshot_(snapshot), ids_(ids), policy_(snapshot, ids) {}

  Tables take() {
    ids_.begin();
    pod_ids_.assign(snapshot_.workloads.size(), 0);
    policy_flags_.assign(snapshot_.workloads.size(), 0);
    policy_kinds_.assign(snapshot_.workloads.size(), 0);
    for (const auto& pod : snapshot_.local_pods) add_pod(pod);
    for (size_t i = 0; i < snapshot_.workloads.size(); ++i) add_workload(i);
    for (const auto& service : snapshot_.services) add_service(service);
    add_self_test(kSelfTestV4);
    add_self_test(kSelfTestV6);
    ids_.finish();
    tables_.names = ids_.names();
    return std::move(tables_);
  }

 private:
  void add_pod(const model::LocalPod& pod) {
    if (pod.workload >= snapshot_.workloads.size()) return;
    const auto& workload = snapshot_.workloads[pod.workload];
    const PodId id = ids_.pod(pod_key(workload));
    if (id.id == 0) {
      tables_.problems.push_back("pod " + model::key_of(workload) +
                                 " cannot be enrolled: the node already has " +
                                 std::to_string(WEFT_MAX_LOCAL_PODS) + " enrolled pods");
      return;
    }
    pod_ids_[pod.workload] = id.id;
    weft_pod entry{};
    entry.pod_id = id.id;
    entry.generation = id.generation;
    entry.identity = ids_.identity(account_key(workload));
    entry.namespace_id = ids_.name_space(workload.ns);
    entry.listener_slot = (id.id - 1) * WEFT_LISTENERS_PER_POD;
    for (const auto& address : workload.addresses)
      (address.is_v4() ? entry.ipv4 : entry.ipv6) = kernel_address(address);
    if (pod.fail_mode == model::FailMode::kOpen) entry.flags |= WEFT_POD_FAIL_OPEN;
    if (pod.inbound_proxy) entry.flags |= WEFT_POD_INBOUND_PROXY;
    if (workload.same_node_tls) entry.flags |= WEFT_POD_TLS_SAME_NODE;
    entry.flags |= add_exclusions(pod, workload, id.id);
    const uint32_t policy_flags = add_policy(pod, workload, id.id);
    entry.policy_kinds = policy_kinds_[pod.workload];
    entry.flags |= policy_flags;
    if ((policy_flags & WEFT_POD_HAS_ALLOW) != 0) policy_flags_[pod.workload] |= WEFT_WORKLOAD_HAS_ALLOW;
    if ((policy_flags & WEFT_POD_HAS_POLICY) != 0) policy_flags_[pod.workload] |= WEFT_WORKLOAD_HAS_POLICY;
    tables_.pods.emplace(pod_key(workload), entry);
  }

  uint32_t add_policy(const model::LocalPod& pod, const model::Workload& workload, uint32_t pod_id) {
    PodPolicy policy = policy_.compile(pod, pod_id);
    policy_kinds_[pod.workload] = kinds_of(policy.entries);
    tables_.policies.merge(policy.entries);
    tables_.port_modes.merge(policy.port_modes);
    for (const auto& problem : policy.problems)
      tables_.problems.push_back("pod " + model::key_of(workload) + ": " + problem);
    return policy.flags;
  }

  // Returns the flags that make the hooks ask for them.
  uint32_t add_exclusions(const model::LocalPod& pod, const model::Workload& workload, uint32_t pod_id) {
    for (const uint16_t port : pod.excluded_ports) tables_.exclusions.emplace(port_exclusion(pod_id, port), weft_exclusion{pod_id});
    for (const auto& range : pod.excluded_ranges)
      tables_.exclusions.emplace(range_exclusion(pod_id, range), weft_exclusion{pod_id});
    uint32_t flags = 0;
    if (!pod.excluded_ports.empty() || !pod.excluded_ranges.empty()) flags |= WEFT_POD_EXCLUDES_CALLS;
    if (!workload.excluded_ports.empty()) flags |= WEFT_POD_EXCLUDES_ARRIVALS;
    return flags;
  }

  void add_workload(size_t index) {
    const auto& workload = snapshot_.workloads[index];
    // A host-network pod shares the node's address with others: the address says nothing about who it is.
    if (workload.host_network) return;
    weft_workload entry{};
    entry.identity = ids_.identity(account_key(workload));
    entry.namespace_id = ids_.name_space(workload.ns);
    entry.flags = workload_flags(workload);
    entry.pod_id = pod_ids_[index];
    entry.flags |= policy_flags_[index];
    entry.policy_kinds = policy_kinds_[index];
    for (const auto& address : workload.addresses) {
      if (address.is_unspecified()) continue;
      const bool added = tables_.workloads.emplace(kernel_address(address), entry).second;
      // Of two pods with one address the first stands in the tables: its exclusions are not the other's.
      for (const uint16_t port : workload.excluded_ports)
        if (added) tables_.exclusions.emplace(arrival_exclusion(address, port), weft_exclusion{entry.pod_id});
    }
  }

  void add_service(const model::Service& service) {
    if (service.headless) return;
    for (const auto& port : service.ports)
      for (const auto& address : service.addresses) add_service_address(service, port, address);
  }

  void add_service_address(const model::Service& service, const model::ServicePort& port,
                           const base::Address& address) {
    const bool udp = port.protocol == model::Protocol::kUdp;
    const auto key = service_key(address, port.port, udp ? IPPROTO_UDP : IPPROTO_TCP);
    if (tables_.services.contains(key)) return;
    Service entry;
    entry.backends = backends_of(service, port, address.is_v4());
    entry.head.service_id = ids_.service(key);
    entry.head.backend_count = static_cast<uint32_t>(entry.backends.size());
    entry.head.affinity_seconds = service.affinity_seconds;
    if (!udp && port.route_table != model::kNone) entry.head.flags |= WEFT_SERVICE_L7;
    if (service.local_endpoints_only) entry.head.flags |= WEFT_SERVICE_LOCAL_ONLY;
    if (service.affinity_seconds != 0) entry.head.flags |= WEFT_SERVICE_AFFINITY;
    tables_.services.emplace(key, std::move(entry));
  }

  std::vector<weft_backend> backends_of(const model::Service& service, const model::ServicePort& port,
                                        bool v4) {
    if (port.cluster >= snapshot_.clusters.size()) return {};
    // By address: one order whatever the order of the objects, so that a table changes only when its contents
    // do.
    std::map<base::SocketAddress, model::Endpoint> chosen;
    for (const auto& endpoint : snapshot_.clusters[port.cluster].endpoints) {
      if (!is_candidate(service, endpoint, v4)) continue;
      auto [found, added] = chosen.emplace(endpoint.address, endpoint);
      if (!added) found->second.weight += endpoint.weight;
    }
    std::vector<uint32_t> weights;
    for (const auto& [address, endpoint] : chosen) weights.push_back(endpoint.weight);
    const auto slots = alias_table(weights);
    std::vector<weft_backend> out;
    for (const auto& [address, endpoint] : chosen) out.push_back(backend_of(endpoint, slots[out.size()]));
    return out;
  }

  [[nodiscard]] bool is_candidate(const model::Service& service, const model::Endpoint& endpoint,
                                  bool v4) const {
    if (endpoint.weight == 0 || endpoint.address.address.is_v4() != v4) return false;
    if (!service.local_endpoints_only) return true;
    return endpoint.workload < snapshot_.workloads.size() && snapshot_.workloads[endpoint.workload].local;
  }

  [[nodiscard]] weft_backend backend_of(const model::Endpoint& endpoint, const AliasSlot& slot) const {
    weft_backend out{};
    out.address = kernel_address(endpoint.address.address);
    out.port = endpoint.address.port;
    out.keep_threshold = slot.keep_threshold;
    out.alias = slot.alias;
    if (endpoint.workload >= snapshot_.workloads.size()) return out;
    out.flags = backend_flags(snapshot_.workloads[endpoint.workload], endpoint.address.port);
    out.pod_id = pod_ids_[endpoint.workload];
    return out;
  }

  void add_self_test(const char* address) {
    const auto key = service_key(*base::Address::parse(address), kSelfTestPort, IPPROTO_TCP);
    Service entry;
    entry.head.service_id = ids_.service(key);
    entry.head.flags = WEFT_SERVICE_SELF_TEST;
    tables_.services.insert_or_assign(key, std::move(entry));
  }

  const model::Snapshot& snapshot_;
  Ids& ids_;
  PolicyCompiler policy_;
  Tables tables_;
  std::vector<uint32_t> pod_ids_;       // by workload; 0: not an enrolled pod of this node
  std::vector<uint32_t> policy_flags_;  // by workload; WEFT_WORKLOAD_HAS_*
  std::vector<uint32_t> policy_kinds_;  // by workload; WEFT_POLICY_KIND
};

}  // namespace

std::string pod_key(const model::Workload& workload) {
  return workload.uid.empty() ? model::key_of(workload) : workload.uid;
}

Tables compile(const model::Snapshot& snapshot, Ids& ids) {
  return Run(snapshot, ids).take();
}

}  // namespace weft::compile
