#pragma once
// Which policy objects say what of which pod of this node.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/state/peer_modes.h"
#include "agent/state/policies.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// Pods of this node, or of the cluster (StateOptions::whole_cluster), that a policy object speaks of, for its status.
struct PolicyReach {
  size_t selected = 0, enrolled = 0;
  bool too_large = false;  // its rules did not fit beside the others: what closes stands for them
};

// Memory that all rules of a node may take: a fraction of what a Snapshot may (model/limits.h), so that no tenant's
// policies can keep a Snapshot from being taken.
inline constexpr size_t kMaxRuleBytes = 48u << 20;

// Remembers how it translated each object. A round is one begin() and one apply() per pod of this node; rules that
// no pod of this node meets stay out. Owner: Pods.
class PolicyBook {
 public:
  void begin(const Store& store, const std::string& root_namespace);
  // Fills what the pod demands of its peers and which rules judge them. Null `out`: the pod is not enrolled, which is
  // only counted. `ns` may be null, and outlives the round.
  void apply(const objects::Pod& pod, const NamespacePolicy* ns, model::LocalPod* out);

  // Only counts the pod, for the statuses.
  void count(const objects::Pod& pod, const NamespacePolicy* ns, bool enrolled);

  [[nodiscard]] const std::vector<model::PolicyRule>& rules() const { return rules_; }
  [[nodiscard]] PolicyReach reach(const objects::AuthorizationPolicy& policy) const;
  [[nodiscard]] PolicyReach reach(const objects::PeerAuthentication& policy) const;
  [[nodiscard]] const PeerModes& modes() const { return modes_; }

 private:
  struct Entry {
    std::shared_ptr<const objects::AuthorizationPolicy> object;
    std::vector<model::PolicyRule> rules;
    uint32_t first = model::kNone;  // of `rules` in rules_; kNone: no pod has asked in this round
    PolicyReach reach;
  };
  void apply_rules(const std::vector<model::PolicyRule>& rules, uint32_t& first, model::LocalPod& out);
  [[nodiscard]] bool take_room(const std::vector<model::PolicyRule>& rules);
  void apply_level(const std::string& ns, const objects::Pod& pod, model::LocalPod* out);
  void count_level(const std::string& ns, const objects::Pod& pod, bool enrolled);

  std::map<Key, Entry> entries_;
  std::map<const NamespacePolicy*, uint32_t> annotated_;  // first rule of a namespace's annotations
  PeerModes modes_;
  std::map<Key, PolicyReach> modes_reach_;
  std::string root_namespace_;
  std::vector<model::PolicyRule> rules_;
  size_t room_ = kMaxRuleBytes;
};

}  // namespace weft::state
