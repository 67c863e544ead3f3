#pragma once
// Whether an object of the cluster has become what it is for.
#include <string>

#include "agent/objects/node.h"

namespace weft::install {

struct Readiness {
  bool ready = true;
  std::string why;  // not ready: a few words, "1 of 2 available"
};

// By the object's status: definitions are established, namespaces active, workloads rolled out (as `kubectl rollout
// status` asks: the newest form, everywhere, available). Whatever else exists is ready. Pure.
[[nodiscard]] Readiness readiness_of(const objects::Node& object);

// What keeps a pod from running, in the words of its container's or its own condition; empty: nothing is known.
[[nodiscard]] std::string trouble_of_pod(const objects::Node& pod);

}  // namespace weft::install
