#pragma once
// What each object is told, from what layout and pods noted. Pure.
#include <string>
#include <vector>

#include "agent/state/layout.h"
#include "agent/state/pods.h"
#include "agent/state/state.h"
#include "agent/state/status.h"

namespace weft::state {

[[nodiscard]] objects::Condition condition(std::string type, bool holds, std::string reason,
                                           std::string message);
// An object's status with its key, generation and file filled in.
[[nodiscard]] ObjectStatus status_of(const objects::Object& object);

[[nodiscard]] std::vector<ObjectStatus> virtual_service_statuses(const Store& store, const Layout& layout,
                                                                 const StateOptions& options);
[[nodiscard]] std::vector<ObjectStatus> gateway_statuses(const Store& store, const Layout& layout,
                                                         const StateOptions& options);
[[nodiscard]] std::vector<ObjectStatus> destination_rule_statuses(const Store& store, const Layout& layout,
                                                                  const StateOptions& options);
// Role node: namespaces that speak of the mesh, and the pods of this node.
[[nodiscard]] std::vector<ObjectStatus> enrolment_statuses(const Pods& pods);

}  // namespace weft::state
