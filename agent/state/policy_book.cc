#include "agent/state/policy_book.h"

#include <utility>

#include "agent/state/authorization.h"
#include "agent/state/endpoints.h"

namespace weft::state {
namespace {

void count(PolicyReach& reach, bool enrolled) {
  ++reach.selected;
  if (enrolled) ++reach.enrolled;
}

}  // namespace

void PolicyBook::begin(const Store& store, const std::string& root_namespace) {
  root_namespace_ = root_namespace;
  rules_.clear();
  annotated_.clear();
  modes_reach_.clear();
  modes_ = PeerModes(store.peer_authentications, root_namespace);
  std::erase_if(entries_, [&](const auto& entry) { return !store.authorization_policies.contains(entry.first); });
  for (const auto& [key, object] : store.authorization_policies) {
    Entry& entry = entries_[key];
    entry.first = model::kNone;
    entry.reach = {};
    if (entry.object == object) continue;
    entry.object = object;
    entry.rules = rules_of(*object);
  }
}

// Rules of one object stand together, and once for all pods.
void PolicyBook::apply_rules(const std::vector<model::PolicyRule>& rules, uint32_t& first, model::LocalPod& out) {
  if (first == model::kNone) {
    first = static_cast<uint32_t>(rules_.size());
    rules_.insert(rules_.end(), rules.begin(), rules.end());
  }
  for (uint32_t i = 0; i < rules.size(); ++i) out.rules.push_back(first + i);
}

void PolicyBook::apply_level(const std::string& ns, const objects::Pod& pod, model::LocalPod* out) {
  for (auto entry = entries_.lower_bound({ns, ""}); entry != entries_.end() && entry->first.ns == ns; ++entry) {
    Entry& policy = entry->second;
    if (policy.object->has_targets || !selects(policy.object->selector, pod.meta.labels)) continue;
    count(policy.reach, out != nullptr);
    if (out) apply_rules(policy.rules, policy.first, *out);
  }
}

void PolicyBook::apply(const objects::Pod& pod, const NamespacePolicy* ns, model::LocalPod* out) {
  PodModes modes = modes_.of(pod, ns);
  for (const Key& key : modes.deciding) count(modes_reach_[key], out != nullptr);
  if (out) {
    out->peer_mode = modes.mode;
    out->peer_mode_source = std::move(modes.source);
    out->port_modes = std::move(modes.ports);
  }
  if (ns && out) apply_rules(ns->rules, annotated_.try_emplace(ns, model::kNone).first->second, *out);
  apply_level(root_namespace_, pod, out);
  if (pod.meta.ns != root_namespace_) apply_level(pod.meta.ns, pod, out);
}

PolicyReach PolicyBook::reach(const objects::AuthorizationPolicy& policy) const {
  const auto found = entries_.find(store_key(policy));
  return found == entries_.end() ? PolicyReach{} : found->second.reach;
}

PolicyReach PolicyBook::reach(const objects::PeerAuthentication& policy) const {
  const auto found = modes_reach_.find(store_key(policy));
  return found == modes_reach_.end() ? PolicyReach{} : found->second;
}

}  // namespace weft::state
