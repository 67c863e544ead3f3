#pragma once
// Deployments into pods: how many of which template there should be now. Pure; the daemon carries it out.
#include <string>
#include <vector>

#include "agent/sandbox/json.h"

namespace weft::sandbox {

// Ten letters that stand for spec.template; label pod-template-hash and part of the pods' names.
[[nodiscard]] std::string template_hash(const Json& deployment);

struct Rollout {
  uint32_t create = 0;              // pods of the present template
  std::vector<std::string> remove;  // names of pods
};

// `pods`: the deployment's own, also those of older templates and those being deleted.
// Rolling update with maxSurge 1 and maxUnavailable 0: a new pod is ready before an old one goes.
[[nodiscard]] Rollout plan_rollout(const Json& deployment, const std::vector<const Json*>& pods);

// A pod as the ReplicaSet controller would make it. `suffix`: five random letters.
[[nodiscard]] Json make_pod(const Json& deployment, const std::string& suffix);
// Fills in what a server does for any pod: uid, creation time, defaults, pending status.
void complete_pod(Json& pod);

// Pods whose ReplicaSet belongs to the deployment.
[[nodiscard]] bool is_owned(const Json& pod, const Json& deployment);
// Name of the Deployment of a pod, empty if it has none.
[[nodiscard]] std::string deployment_of(const Json& pod);

}  // namespace weft::sandbox
