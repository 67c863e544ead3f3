#include "agent/state/pods.h"

#include <utility>

#include "agent/objects/annotations.h"
#include "agent/state/workloads.h"

namespace weft::state {
namespace {

std::string annotation(const objects::Pod& pod, const char* key) {
  const auto found = pod.meta.annotations.find(key);
  return found == pod.meta.annotations.end() ? "" : found->second;
}

// As its node's agent says, after it has seen a connection of the pod's be captured.
bool is_captured(const objects::Pod& pod) {
  return annotation(pod, objects::kRedirectionAnnotation) == "enabled";
}

}  // namespace

objects::AnnotatedPreMesh pre_mesh_of(const Pods::Judged& judged) {
  static const objects::Labels kNothing;
  return objects::read_pre_mesh(judged.pod->meta.annotations, judged.ns ? judged.ns->meta.annotations : kNothing);
}

void Pods::refresh_namespaces(const Store& store) {
  std::erase_if(namespaces_, [&](const auto& entry) { return !store.find_namespace(entry.first); });
  for (const auto& [key, ns] : store.namespaces) {
    JudgedNamespace& judged = namespaces_[key.name];
    if (judged.ns == ns) continue;
    judged = {ns, judge(*ns), policy_of(*ns)};
  }
}

Pods::Judged& Pods::judge_pod(const Key& key, const std::shared_ptr<const objects::Pod>& pod,
                              const StateOptions& options) {
  Judged& judged = pods_[key];
  const auto ns = namespaces_.find(key.ns);
  const std::shared_ptr<const objects::Namespace> of = ns == namespaces_.end() ? nullptr : ns->second.ns;
  if (judged.pod == pod && judged.ns == of) return judged;
  judged.pod = pod;
  judged.ns = of;
  judged.enrolment = judge(*pod, of.get(), of ? ns->second.enrolment : Enrolment{});
  judged.annotated.reset();
  if (auto said = objects::read_exclusions(pod->meta.annotations); said != objects::AnnotatedExclusions{})
    judged.annotated = std::make_unique<const objects::AnnotatedExclusions>(std::move(said));
  judged.workload = model::kNone;
  judged.local = options.role == model::Role::kNode && !options.node.empty() && pod->spec.node_name == options.node;
  return judged;
}

// `former`: the list that judged.workload points into; its entry is used up.
void Pods::add_workload(Judged& judged, std::vector<model::Workload>& former, const StateOptions& options) {
  const bool fresh = judged.workload == model::kNone;
  workloads_.push_back(fresh ? make_workload(*judged.pod) : std::move(former[judged.workload]));
  judged.workload = static_cast<uint32_t>(workloads_.size() - 1);
  model::Workload& workload = workloads_.back();
  labels_.push_back(&judged.pod->meta.labels);
  // Routes ask for the labels of their callers, which are this node's; a gateway's have been compared with its own.
  if (fresh && judged.local) workload.labels = judged.pod->meta.labels;
  workload.enrolled = judged.enrolment.enrolled;
  workload.local = judged.local;
  workload.same_node_tls = asks_for_same_node_tls(workload.ns, options);
}

const NamespacePolicy* Pods::policy_of_namespace(const std::string& name) const {
  const auto found = namespaces_.find(name);
  return found == namespaces_.end() ? nullptr : &found->second.policy;
}

// The namespace's word, else the mesh's, which is said at the root namespace, else this agent's.
bool Pods::asks_for_same_node_tls(const std::string& ns, const StateOptions& options) const {
  for (const std::string* name : {&ns, &options.root_namespace}) {
    const NamespacePolicy* const policy = policy_of_namespace(*name);
    if (policy && policy->same_node_tls) return *policy->same_node_tls;
  }
  return options.same_node_tls;
}

void Pods::note_node_pod(const Judged& judged, const std::string& pre_mesh_problem) {
  const objects::Pod& pod = *judged.pod;
  node_pods_.push_back({.ns = pod.meta.ns,
                        .name = pod.meta.name,
                        .uid = pod.meta.uid,
                        .enrolled = judged.enrolment.enrolled,
                        .redirection = annotation(pod, objects::kRedirectionAnnotation),
                        .captured = annotation(pod, objects::kCapturedAnnotation),
                        .excluded = annotation(pod, objects::kExcludedAnnotation),
                        .armed = annotation(pod, objects::kArmedAnnotation),
                        .attached = annotation(pod, objects::kAttachedAnnotation),
                        .excludes = judged.excluded ? objects::to_string(judged.excluded->effective) : "",
                        .exclusion_problem = judged.excluded ? judged.excluded->problem : "",
                        .pre_mesh_problem = pre_mesh_problem});
}

void Pods::add_local(const Judged& judged, const SandboxFact* fact, const objects::PreMeshPolicy& pre_mesh,
                     const StateOptions& options) {
  model::LocalPod& out = local_pods_.emplace_back();
  out.workload = judged.workload;
  const NamespacePolicy* const policy = policy_of_namespace(judged.pod->meta.ns);
  if (policy) out.fail_mode = policy->fail_mode;
  policies_.apply(*judged.pod, policy, &out);
  if (judged.excluded) {
    out.excluded_ports = judged.excluded->effective.outbound_ports;
    out.excluded_ranges = judged.excluded->effective.outbound_ranges;
  }
  const objects::Metadata& meta = judged.pod->meta;
  std::string netns = fact != nullptr ? fact->netns : "";
  if (fact == nullptr && options.netns_by_annotation) netns = annotation(*judged.pod, objects::kNetnsAnnotation);
  sandboxes_.push_back({meta.ns, meta.name, meta.uid, std::move(netns), pre_mesh});
}

// Arrivals concern every agent, since callers anywhere have to leave the mesh out too. In force is what the pod's own node
// says that it has in its tables.
void Pods::exclude(Judged& judged, const StateOptions& options) {
  static const objects::AnnotatedExclusions kNothing;
  PodExclusions all = exclusions_.of(*judged.pod, judged.annotated ? *judged.annotated : kNothing);
  const bool enrolled = judged.enrolment.enrolled;
  workloads_.back().excluded_ports = enrolled ? all.effective.inbound_ports : std::vector<uint16_t>{};
  if (options.whole_cluster) {
    const bool stands = annotation(*judged.pod, objects::kExcludedAnnotation) == objects::to_string(all.effective);
    exclusions_.count(*judged.pod, enrolled && is_captured(*judged.pod) && stands);
  } else if (judged.local) {
    exclusions_.count(*judged.pod, enrolled);
  }
  const bool nothing = all.effective.empty() && all.problem.empty();
  judged.excluded = nothing ? nullptr : std::make_unique<const PodExclusions>(std::move(all));
}

void Pods::refresh(const Store& store, const StateOptions& options) {
  refresh_namespaces(store);
  std::erase_if(pods_, [&](const auto& entry) { return !store.pods.contains(entry.first); });
  std::vector<model::Workload> former = std::exchange(workloads_, {});
  workloads_.reserve(store.pods.size());
  labels_.clear();
  local_pods_.clear();
  policies_.begin(store, options.root_namespace);
  exclusions_.begin(store);
  sandboxes_.clear();
  node_pods_.clear();
  self_ = model::kNone;
  for (const auto& [key, pod] : store.pods) {
    Judged& judged = judge_pod(key, pod, options);
    if (is_finished(*pod)) continue;
    add_workload(judged, former, options);
    exclude(judged, options);
    const bool enrolled = judged.enrolment.enrolled;
    if (options.role == model::Role::kGateway && key == Key{options.ns, options.pod}) {
      self_ = judged.workload;
    }
    if (options.whole_cluster)
      policies_.count(*pod, policy_of_namespace(key.ns), enrolled && is_captured(*pod));
    if (!judged.local) continue;
    objects::AnnotatedPreMesh pre_mesh = pre_mesh_of(judged);
    note_node_pod(judged, pre_mesh.problem);
    const SandboxFact* const fact = store.find_sandbox(*pod);
    // A new sandbox has its addresses before the kubelet has written them into the pod's status.
    const bool has_newer = fact != nullptr && !fact->addresses.empty();
    workloads_.back().addresses = has_newer ? fact->addresses : pod->status.pod_ips;
    if (enrolled) {
      add_local(judged, fact, pre_mesh.policy, options);
    } else {
      policies_.apply(*pod, policy_of_namespace(key.ns), nullptr);
    }
  }
}

}  // namespace weft::state
