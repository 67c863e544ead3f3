#pragma once
// The door of this room: events in, one immutable Snapshot and the objects' statuses out.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/pre_mesh_policy.h"
#include "agent/state/enrolment.h"
#include "agent/state/sandbox_fact.h"
#include "agent/state/status.h"
#include "agent/watch/event.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// Role gateway: pod ports that could not be opened, and why.
using ClosedPorts = std::map<uint16_t, std::string>;

struct StateOptions {
  model::Role role = model::Role::kNode;
  std::string node;     // role node: whose pods are local
  std::string ns, pod;  // role gateway: its own pod
  model::Settings settings;
  ClosedPorts closed_ports;
  std::string root_namespace = "istio-system";
  // Role control: no pod is local, and statuses speak of the whole cluster: gateways by what each of them has to serve
  // and how many of their pods are ready, policies by how many of the pods they select are captured (as the nodes'
  // agents say in the annotation ambient.istio.io/redirection, after their self-test).
  bool whole_cluster = false;
  // Whether the annotation weft.mesh/netns is believed: in the sandbox it is the kubelet's word, behind an API server
  // any author of a pod could name another's namespace.
  bool netns_by_annotation = true;
  bool same_node_tls = false;  // for namespaces that say nothing, where the root namespace says nothing either
};

// Where an enrolled pod of this node lives, and what becomes of its connections of before. Same order and length as
// Snapshot::local_pods. A pod that was deleted and made again has its old name and another uid: whoever looks for its
// namespace goes by the uid.
struct PodSandbox {
  std::string ns, name, uid;
  std::string netns;  // by the node's own knowledge, else annotation weft.mesh/netns; empty while nobody has said it
  objects::PreMeshPolicy pre_mesh = {};
  auto operator<=>(const PodSandbox&) const = default;
};

// A pod of this node that has not ended, and what its object says of its capture.
struct NodePod {
  std::string ns, name, uid;
  bool enrolled = false;
  // Annotations ambient.istio.io/redirection, weft.mesh/captured, weft.mesh/excluded.
  std::string redirection, captured, excluded;
  std::string armed, attached;    // of agents' own pods: weft.mesh/armed-in-boot, weft.mesh/attached-at
  std::string excludes;           // what it shall leave out of the mesh, as weft.mesh/excluded has it
  std::string exclusion_problem;  // what of that does not count, as a sentence
  std::string pre_mesh_problem;   // the same of what shall become of its connections of before
  auto operator<=>(const NodePod&) const = default;
};

struct Build {
  model::SnapshotPtr snapshot;         // never null; the former one if nothing in it changed
  bool changed = false;                // `snapshot` is a new one, its version has grown
  std::vector<PodSandbox> sandboxes;   // role node
  std::vector<NodePod> node_pods;      // role node; the enrolled ones are those of `sandboxes`
  std::vector<ObjectStatus> statuses;  // that are new or different since the last build()
  std::vector<StatusKey> removed;      // that are gone since the last build()
};

// Folds events into what this node, or this gateway pod, has to do. The result depends on the objects alone,
// never on the order in which they came. Owner: main. Thread: one. Lifetime: the process.
class State {
 public:
  explicit State(StateOptions options);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void fold(const watch::Event& event);
  void fold(const std::vector<watch::Event>& events);
  // Run-time switches (access log). The domains must not change.
  void set_settings(const model::Settings& settings);
  // What came of the gateway's listeners, for the statuses alone.
  void set_closed_ports(ClosedPorts ports);
  // Role node: all that the node knows of its pods' sandboxes; replaces what it knew before.
  void set_sandboxes(SandboxFacts facts);
  // As of the last build(). Of a pod by its name and uid (of a static pod: the hash), whatever its node; nothing
  // while that very pod has not been seen.
  [[nodiscard]] std::optional<Enrolment> enrolment_of(const std::string& ns, const std::string& name,
                                                      const std::string& uid) const;
  // Of the pods of a namespace that do not say otherwise.
  [[nodiscard]] std::optional<Enrolment> enrolment_of_namespace(const std::string& ns) const;
  // The first full look at the objects is through: before that a Snapshot may lack what is merely unread.
  [[nodiscard]] bool synced() const;
  [[nodiscard]] Build build();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::state
