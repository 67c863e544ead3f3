#include "agent/ca/node_authorizer.h"

#include <fmt/format.h>

#include <tuple>
#include <unordered_map>

namespace weft::ca {

struct NodeAuthorizer::Index {
  model::SnapshotPtr snapshot;                                     // keeps what the others point to
  std::unordered_map<std::string, const model::Workload*> pods;    // by "ns/name"
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> on_node;  // node, ns, account
};

NodeAuthorizer::NodeAuthorizer(Options options) : options_(std::move(options)) {}

void NodeAuthorizer::set_snapshot(model::SnapshotPtr snapshot) {
  auto index = std::make_shared<Index>();
  for (const auto& workload : snapshot->workloads) {
    index->pods.emplace(model::key_of(workload), &workload);
    if (!workload.node.empty()) index->on_node.emplace(workload.node, workload.ns, workload.service_account);
  }
  index->snapshot = std::move(snapshot);
  const base::MutexLock lock(mutex_);
  index_ = std::move(index);
}

Judged<const model::Workload*> NodeAuthorizer::find_caller(const Index& index, const Caller& caller) const {
  const auto found = index.pods.find(caller.ns + "/" + caller.pod);
  if (found == index.pods.end()) return refuse(Reason::kCallerUnknown, "its pod is not there");
  const model::Workload& pod = *found->second;
  if (pod.uid != caller.pod_uid) return refuse(Reason::kCallerChanged, "its pod has another uid");
  if (pod.service_account != caller.service_account)
    return refuse(Reason::kCallerChanged, "its pod has another service account");
  if (!caller.node.empty() && pod.node != caller.node)
    return refuse(Reason::kCallerChanged, fmt::format("its pod is on {}, the token says {}", pod.node, caller.node));
  return &pod;
}

Judged<model::SpiffeId> NodeAuthorizer::authorize(const Caller& caller, std::string_view asked) const {
  std::shared_ptr<const Index> index;
  {
    const base::MutexLock lock(mutex_);
    index = index_;
  }
  if (index == nullptr) return refuse(Reason::kNotReady, "no whole look at the objects yet");
  TRY_ASSIGN(const model::Workload* pod, find_caller(*index, caller));
  model::SpiffeId own{options_.trust_domain, caller.ns, caller.service_account};
  if (asked.empty() || asked == own.to_string()) return own;
  if (!options_.node_accounts.contains(caller.ns + "/" + caller.service_account))
    return refuse(Reason::kNotTrusted, "not an account of node agents");
  auto identity = model::SpiffeId::parse(asked);
  if (!identity) return refuse(Reason::kIdentity, identity.error().what);
  if (identity->trust_domain != options_.trust_domain)
    return refuse(Reason::kTrustDomain, fmt::format("asks for trust domain {}", identity->trust_domain));
  if (!index->on_node.contains({pod->node, identity->ns, identity->service_account}))
    return refuse(Reason::kNotOnNode, fmt::format("no workload {}/{} on {}", identity->ns, identity->service_account, pod->node));
  return std::move(*identity);
}

}  // namespace weft::ca
