#pragma once
// Services and their clusters: what can be dialled, and which name in a route means what.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/state/destination_rules.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// What a cluster selects of its service's endpoints; same index as the cluster.
struct ClusterPlan {
  Key service;
  uint32_t port = 0;                      // into objects::Service::ports
  std::optional<objects::Labels> labels;  // of the subset; none: every endpoint
};

// Where a route's destination leads.
struct Resolved {
  uint32_t cluster = model::kNone;
  std::string name;     // "outbound|8888|v1|httpgo.dev.svc.cluster.local", also for what is missing
  std::string missing;  // a sentence, if cluster is kNone
};

// Layout of all services and clusters, without endpoints. The order is that of namespace and name, then port,
// then subset. Lifetime: one build of the layout; it points into the Store.
class Services {
 public:
  struct Options {
    std::string domain;
    std::string client_ns;           // gateway: its own namespace; node: empty
    bool tell_clients_apart = true;  // node: callers come from many namespaces
  };
  Services(const Objects<objects::Service>& services, const DestinationRules& rules, Options options);

  [[nodiscard]] uint32_t find(const std::string& hostname) const;
  [[nodiscard]] const objects::Service& object(uint32_t service) const { return *objects_[service]; }
  // Namespaces whose callers meet other subsets of this service than everybody else.
  [[nodiscard]] const std::set<std::string>& special_clients(uint32_t service) const {
    return special_clients_[service];
  }
  // `host` as the rule in `rule_ns` writes it; `port` 0: not given. `client_ns` empty: everybody.
  [[nodiscard]] Resolved resolve(const std::string& host, uint16_t port, const std::string& subset,
                                 const std::string& rule_ns, const std::string& client_ns,
                                 uint16_t listener_port) const;
  [[nodiscard]] const std::string& domain() const { return options_.domain; }

  // Taken over by the Snapshot.
  std::vector<model::Service> services;
  std::vector<model::Cluster> clusters;
  std::vector<ClusterPlan> plans;

 private:
  struct ClusterKey {
    uint32_t service = 0;
    uint16_t port = 0;
    std::string subset, client_ns;
    auto operator<=>(const ClusterKey&) const = default;
  };
  void add_service(const objects::Service& object, const DestinationRules& rules);
  void add_subsets(uint32_t service, const RuleSet& rules, const std::string& client_ns);
  uint32_t add_cluster(uint32_t service, uint32_t port, const std::string& subset,
                       const std::optional<objects::Labels>& labels);

  Options options_;
  std::vector<const objects::Service*> objects_;
  std::vector<std::set<std::string>> special_clients_;
  std::map<std::string, uint32_t> by_hostname_;
  std::map<ClusterKey, uint32_t> subsets_;
};

[[nodiscard]] std::string cluster_name(uint16_t port, const std::string& subset, const std::string& hostname);

}  // namespace weft::state
