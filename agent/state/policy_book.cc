#include "agent/state/policy_book.h"

#include <utility>

#include "agent/state/authorization.h"
#include "agent/state/endpoints.h"

namespace weft::state {
namespace {

void add_pod(PolicyReach& reach, bool enrolled) {
  ++reach.selected;
  if (enrolled) ++reach.enrolled;
}

template <typename... Lists>
size_t entries_of(const Lists&... lists) {
  return (lists.size() + ...);
}

size_t bytes_of(const model::PolicyRule& rule) {
  size_t bytes = sizeof rule + rule.source.size();
  for (const model::PolicyClause& clause : rule.clauses) {
    bytes += sizeof clause;
    for (const model::PolicyMatch& m : clause)
      bytes += sizeof m + sizeof(model::StringPattern) *
                              entries_of(m.principals, m.not_principals, m.namespaces, m.not_namespaces,
                                         m.service_accounts, m.not_service_accounts, m.source_ranges,
                                         m.not_source_ranges, m.destination_ranges, m.not_destination_ranges, m.ports,
                                         m.not_ports);
  }
  return bytes;
}

// A DENY of everybody, or an ALLOW of nobody, in place of rules for which there is no room.
model::PolicyRule closed(const std::vector<model::PolicyRule>& rules) {
  model::PolicyRule out{.id = rules[0].id,
                        .source = rules[0].source + ", too large beside the other policies of this node",
                        .deny = rules[0].deny,
                        .dry_run = rules[0].dry_run};
  if (!out.deny) out.clauses = {{}};
  return out;
}

}  // namespace

bool PolicyBook::take_room(const std::vector<model::PolicyRule>& rules) {
  size_t bytes = 0;
  for (const model::PolicyRule& rule : rules) bytes += bytes_of(rule);
  if (bytes > room_) return false;
  room_ -= bytes;
  return true;
}

void PolicyBook::begin(const Store& store, const std::string& root_namespace) {
  root_namespace_ = root_namespace;
  rules_.clear();
  room_ = kMaxRuleBytes;
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
    add_pod(policy.reach, out != nullptr);
    if (!out || policy.rules.empty()) continue;
    if (policy.first == model::kNone) policy.reach.too_large = !take_room(policy.rules);
    if (policy.reach.too_large) {
      apply_rules({closed(policy.rules)}, policy.first, *out);
    } else {
      apply_rules(policy.rules, policy.first, *out);
    }
  }
}

void PolicyBook::apply(const objects::Pod& pod, const NamespacePolicy* ns, model::LocalPod* out) {
  PodModes modes = modes_.of(pod, ns);
  for (const Key& key : modes.deciding) add_pod(modes_reach_[key], out != nullptr);
  if (out) {
    out->peer_mode = modes.mode;
    out->peer_mode_source = std::move(modes.source);
    out->port_modes = std::move(modes.ports);
  }
  if (ns && out) apply_rules(ns->rules, annotated_.try_emplace(ns, model::kNone).first->second, *out);
  apply_level(root_namespace_, pod, out);
  if (pod.meta.ns != root_namespace_) apply_level(pod.meta.ns, pod, out);
}

void PolicyBook::count_level(const std::string& ns, const objects::Pod& pod, bool enrolled) {
  for (auto entry = entries_.lower_bound({ns, ""}); entry != entries_.end() && entry->first.ns == ns; ++entry) {
    Entry& policy = entry->second;
    if (!policy.object->has_targets && selects(policy.object->selector, pod.meta.labels)) add_pod(policy.reach, enrolled);
  }
}

void PolicyBook::count(const objects::Pod& pod, const NamespacePolicy* ns, bool enrolled) {
  for (const Key& key : modes_.of(pod, ns).deciding) add_pod(modes_reach_[key], enrolled);
  count_level(root_namespace_, pod, enrolled);
  if (pod.meta.ns != root_namespace_) count_level(pod.meta.ns, pod, enrolled);
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
