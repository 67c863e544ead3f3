#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::identify {

struct ServiceRef {
  uint32_t service = model::kNone;
  uint32_t port = model::kNone;  // into Service::ports
};

// The endpoints of one cluster that the layer-4 relay may choose, with running weights for a binary search.
struct Candidates {
  std::vector<uint32_t> endpoints;  // into Cluster::endpoints
  std::vector<uint64_t> up_to;      // sum of the weights of this and all before
};

// A Snapshot and what makes looking things up in it constant-time. Built off the path, once per Snapshot;
// immutable, shared by all workers and pinned, through the Snapshot, by every connection.
class Index {
 public:
  explicit Index(model::SnapshotPtr snapshot);

  [[nodiscard]] const model::Snapshot& snapshot() const { return *snapshot_; }
  [[nodiscard]] const model::SnapshotPtr& pin() const { return snapshot_; }

  [[nodiscard]] ServiceRef service_at(const base::SocketAddress& address) const;
  // Of the services that have this address of a local pod among their endpoints the one with that host name, or the
  // first one; kNone: none has.
  [[nodiscard]] uint32_t service_behind(const base::SocketAddress& endpoint, std::string_view hostname = {}) const;
  // Where the name of a service ("name.ns.svc.cluster.local", lower case) and its port lead inside the pod with that
  // address: the port of the pod's own endpoint (hbone.md 9). 0: the pod is no endpoint of such a service.
  struct NamedPort {
    std::string_view hostname;
    uint16_t port = 0;
  };
  [[nodiscard]] uint16_t port_behind(const NamedPort& named, const base::Address& pod) const;
  [[nodiscard]] uint32_t workload_at(const base::Address& address) const;  // kNone: nobody known
  [[nodiscard]] uint32_t workload_named(std::string_view pod) const;       // "ns/name"
  [[nodiscard]] const model::LocalPod* local_pod(
      uint32_t workload) const;  // null: not an enrolled pod of this node
  [[nodiscard]] const model::GatewayListener* gateway_listener(uint16_t bind_port) const;
  // For callers of one address family, with or without a wish for TLS on their own node. Empty for a cluster
  // without endpoints and for subsets.
  [[nodiscard]] const Candidates& candidates(uint32_t cluster, bool v4, bool tls) const;

 private:
  void index_services();
  void index_local_endpoints();
  void index_workloads();

  model::SnapshotPtr snapshot_;
  std::unordered_map<base::SocketAddress, ServiceRef> services_;
  std::unordered_map<base::SocketAddress, std::vector<uint32_t>> behind_;  // services, each once
  std::unordered_map<base::Address, uint32_t> by_address_;
  std::unordered_map<std::string, uint32_t> by_name_;
  std::unordered_map<std::string, uint32_t> by_hostname_;  // services
  std::unordered_map<uint32_t, uint32_t> local_pods_;  // workload -> into Snapshot::local_pods
  std::unordered_map<uint32_t, std::array<Candidates, 4>> candidates_;  // by cluster; v4 + 2 * tls
};

using IndexPtr = std::shared_ptr<const Index>;

}  // namespace weft::identify
