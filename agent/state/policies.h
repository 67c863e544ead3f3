#pragma once
// Namespace-wide settings, as annotations: who may call the pods there, and how strict capture is. Pure.
//   weft.mesh/allow-from, weft.mesh/deny-from   comma list of namespaces and address ranges
//   weft.mesh/peer-mode                         strict | permissive (default)
//   weft.mesh/fail-mode                         closed (default) | open
//   weft.mesh/same-node                         attested (default) | mtls: between pods of one node; at the root
//                                               namespace for the whole mesh
//   weft.mesh/pre-mesh-connections              objects/pre_mesh_policy.h; only looked at here, the pods carry it
// A value that cannot be read is a finding and closes: better a refused call than an unnoticed hole. The last one does
// not admit anybody: it leaves.
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/objects.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

struct NamespacePolicy {
  model::PeerMode peer_mode = model::PeerMode::kPermissive;
  std::string peer_mode_source;  // empty: nothing is said
  model::FailMode fail_mode = model::FailMode::kClosed;
  std::optional<bool> same_node_tls;  // nothing: nothing is said
  std::vector<model::PolicyRule> rules;
  std::vector<objects::Finding> findings;
};

[[nodiscard]] NamespacePolicy policy_of(const objects::Namespace& ns);

// Stable over restarts and nodes: a hash of the rule's source. Never 0.
[[nodiscard]] uint32_t rule_id(const std::string& source);

}  // namespace weft::state
