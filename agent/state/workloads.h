#pragma once
// Pods as the data path knows them. Pure.
#include <string>

#include "agent/objects/objects.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// The name people gave to the thing that made the pod: Deployment rather than ReplicaSet, CronJob rather than
// Job.
[[nodiscard]] std::string owner_of(const objects::Pod& pod);

// Without `enrolled` and `local`, which are not the pod's own, and without labels, which only some of them need.
[[nodiscard]] model::Workload make_workload(const objects::Pod& pod);

}  // namespace weft::state
