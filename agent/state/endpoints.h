#pragma once
// Which addresses stand behind a service port, from its EndpointSlices.
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/state/services.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// A ready endpoint before its pod is looked up.
struct ReadyEndpoint {
  base::SocketAddress address;
  Key pod;  // empty name: the slice does not say
  auto operator<=>(const ReadyEndpoint&) const = default;
};
// By index of objects::Service::ports; sorted by address, without doubles.
using ReadyByPort = std::vector<std::vector<ReadyEndpoint>>;

// Ready ones only; a terminating endpoint is out, so that a rolling restart drains before the process ends.
[[nodiscard]] ReadyByPort ready_endpoints(const objects::Service& service,
                                          const Objects<objects::EndpointSlice>& slices);

// Finds pods by name and by address. Made anew when the set of pods changes.
class PodIndex {
 public:
  void assign(const std::vector<model::Workload>& workloads);
  // kNone for an address that belongs to no pod we know.
  [[nodiscard]] uint32_t find(const ReadyEndpoint& endpoint) const;

 private:
  std::unordered_map<std::string, uint32_t> by_name_;  // "ns/name"
  std::unordered_map<base::Address, uint32_t> by_address_;
};

// The endpoints of one cluster. `labels`: of each workload.
[[nodiscard]] std::vector<model::Endpoint> select(const std::vector<ReadyEndpoint>& ready,
                                                  const ClusterPlan& plan, const PodIndex& pods,
                                                  const std::vector<const objects::Labels*>& labels);

// Labels that are all there; an empty selector selects everything.
[[nodiscard]] bool selects(const objects::Labels& selector, const objects::Labels& labels);

}  // namespace weft::state
