#pragma once
// Pods and namespaces, judged: workloads of the Snapshot and the pods of this node.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/state/enrolment.h"
#include "agent/state/exclusions.h"
#include "agent/state/policies.h"
#include "agent/state/policy_book.h"
#include "agent/state/state.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// Remembers what it made of each pod, since pods are many and most of them stay as they are: a refresh moves the workloads
// of those into the new list. Owner: State.
class Pods {
 public:
  void refresh(const Store& store, const StateOptions& options);

  struct Judged {
    std::shared_ptr<const objects::Pod> pod;
    std::shared_ptr<const objects::Namespace> ns;
    Enrolment enrolment;
    bool local = false;
    uint32_t workload = model::kNone;  // into workloads(); kNone: the pod is finished
    std::unique_ptr<const objects::AnnotatedExclusions> annotated;  // null: its annotations say nothing of it
    std::unique_ptr<const PodExclusions> excluded;                  // as of the last refresh; null: nothing
  };
  struct JudgedNamespace {
    std::shared_ptr<const objects::Namespace> ns;
    Enrolment enrolment;
    NamespacePolicy policy;
  };
  [[nodiscard]] const std::map<Key, Judged>& pods() const { return pods_; }
  [[nodiscard]] const std::map<std::string, JudgedNamespace>& namespaces() const { return namespaces_; }

  // In order of namespace and name; finished pods are left out.
  [[nodiscard]] const std::vector<model::Workload>& workloads() const { return workloads_; }
  // Of the pods of workloads(), in the same order: the workloads themselves have theirs only where the proxy reads them.
  [[nodiscard]] const std::vector<const objects::Labels*>& labels() const { return labels_; }
  [[nodiscard]] const std::vector<model::LocalPod>& local_pods() const { return local_pods_; }
  // What local_pods() point at.
  [[nodiscard]] const std::vector<model::PolicyRule>& policy_rules() const { return policies_.rules(); }
  [[nodiscard]] const PolicyBook& policies() const { return policies_; }
  [[nodiscard]] const ExclusionBook& exclusions() const { return exclusions_; }
  [[nodiscard]] const std::vector<PodSandbox>& sandboxes() const { return sandboxes_; }
  [[nodiscard]] const std::vector<NodePod>& node_pods() const { return node_pods_; }
  [[nodiscard]] uint32_t self() const { return self_; }

 private:
  void refresh_namespaces(const Store& store);
  Judged& judge_pod(const Key& key, const std::shared_ptr<const objects::Pod>& pod, const StateOptions& options);
  void add_workload(Judged& judged, std::vector<model::Workload>& former, const StateOptions& options);
  void note_node_pod(const Judged& judged, const std::string& pre_mesh_problem);
  void add_local(const Judged& judged, const SandboxFact* fact, const objects::PreMeshPolicy& pre_mesh,
                 const StateOptions& options);
  void exclude(Judged& judged, const StateOptions& options);
  [[nodiscard]] const NamespacePolicy* policy_of_namespace(const std::string& name) const;
  [[nodiscard]] bool asks_for_same_node_tls(const std::string& ns, const StateOptions& options) const;

  std::map<Key, Judged> pods_;
  std::map<std::string, JudgedNamespace> namespaces_;
  std::vector<model::Workload> workloads_;
  std::vector<const objects::Labels*> labels_;  // into pods_
  std::vector<model::LocalPod> local_pods_;
  PolicyBook policies_;
  ExclusionBook exclusions_;
  std::vector<PodSandbox> sandboxes_;
  std::vector<NodePod> node_pods_;
  uint32_t self_ = model::kNone;
};

// What becomes of the connections that the pod had before it was enrolled.
[[nodiscard]] objects::AnnotatedPreMesh pre_mesh_of(const Pods::Judged& judged);

}  // namespace weft::state
