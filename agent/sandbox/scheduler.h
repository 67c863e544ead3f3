#pragma once
// Which node a pod goes to. Pure.
#include <string>
#include <vector>

#include "agent/sandbox/json.h"

namespace weft::sandbox {

// The controlling owner of a pod ("ReplicaSet dev/httpgo-v1-abc"); a pod without one is its own.
[[nodiscard]] std::string owner_of(const Json& pod);

// The node with the fewest pods of the same owner, then the fewest pods, then the first by name. Pods that
// are being deleted do not count. Empty if no node meets spec.nodeSelector (only kubernetes.io/hostname is
// known).
[[nodiscard]] std::string choose_node(const Json& pod, const std::vector<std::string>& nodes,
                                      const std::vector<const Json*>& pods);

}  // namespace weft::sandbox
