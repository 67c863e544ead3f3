#include "agent/state/pods.h"

#include "agent/state/workloads.h"

namespace weft::state {
namespace {

constexpr const char* kNetns = "weft.mesh/netns";

}  // namespace

void Pods::refresh_namespaces(const Store& store) {
  std::erase_if(namespaces_, [&](const auto& entry) { return !store.find_namespace(entry.first); });
  for (const auto& [key, ns] : store.namespaces) {
    JudgedNamespace& judged = namespaces_[key.name];
    if (judged.ns == ns) continue;
    judged = {ns, judge(*ns), policy_of(*ns), {}};
  }
}

void Pods::judge_pod(const Key& key, const std::shared_ptr<const objects::Pod>& pod,
                     const StateOptions& options) {
  Judged& judged = pods_[key];
  const auto ns = namespaces_.find(key.ns);
  const std::shared_ptr<const objects::Namespace> of = ns == namespaces_.end() ? nullptr : ns->second.ns;
  if (judged.pod == pod && judged.ns == of) return;
  judged.pod = pod;
  judged.ns = of;
  judged.enrolment = judge(*pod, of.get(), of ? ns->second.enrolment : Enrolment{});
  judged.workload = make_workload(*pod);
  judged.workload.enrolled = judged.enrolment.enrolled;
  judged.workload.local =
      options.role == model::Role::kNode && !options.node.empty() && pod->spec.node_name == options.node;
}

void Pods::add_local(const Judged& judged) {
  model::LocalPod& out = local_pods_.emplace_back();
  out.workload = static_cast<uint32_t>(workloads_.size() - 1);
  const auto ns = namespaces_.find(judged.workload.ns);
  if (ns != namespaces_.end()) {
    const NamespacePolicy& policy = ns->second.policy;
    out.peer_mode = policy.peer_mode;
    out.peer_mode_source = policy.peer_mode_source;
    out.fail_mode = policy.fail_mode;
    if (ns->second.rules.empty())
      for (const auto& rule : policy.rules) {
        ns->second.rules.push_back(static_cast<uint32_t>(policy_rules_.size()));
        policy_rules_.push_back(rule);
      }
    out.rules = ns->second.rules;
  }
  const objects::Metadata& meta = judged.pod->meta;
  const auto netns = meta.annotations.find(kNetns);
  sandboxes_.push_back({meta.ns, meta.name, meta.uid, netns == meta.annotations.end() ? "" : netns->second});
}

void Pods::refresh(const Store& store, const StateOptions& options) {
  refresh_namespaces(store);
  std::erase_if(pods_, [&](const auto& entry) { return !store.pods.contains(entry.first); });
  workloads_.clear();
  local_pods_.clear();
  policy_rules_.clear();
  for (auto& [name, ns] : namespaces_) ns.rules.clear();
  sandboxes_.clear();
  self_ = model::kNone;
  for (const auto& [key, pod] : store.pods) {
    judge_pod(key, pod, options);
    if (is_finished(*pod)) continue;
    const Judged& judged = pods_.at(key);
    workloads_.push_back(judged.workload);
    if (options.role == model::Role::kGateway && key == Key{options.ns, options.pod}) {
      self_ = static_cast<uint32_t>(workloads_.size() - 1);
    }
    if (judged.workload.local && judged.workload.enrolled) add_local(judged);
  }
}

}  // namespace weft::state
