#include "agent/objects/served.h"

#include <algorithm>
#include <string_view>

#include "agent/objects/kinds.h"
#include "agent/objects/pod.h"

namespace weft::objects {
namespace {

// "sidecar.istio.io/status", "weft.mesh/netns"; not what kubectl, controllers and CNIs leave there.
bool is_of_a_mesh(std::string_view key) {
  const std::string_view domain = key.substr(0, key.find('/'));
  return domain.size() < key.size() && (domain == "istio.io" || domain.ends_with(".istio.io") || domain == "weft.mesh");
}

// A name is all that a Service's targetPort can ask for; numbers need no container.
bool has_named_port(const Container& container) {
  return std::ranges::any_of(container.ports, [](const ContainerPort& port) { return !port.name.empty(); });
}

Container without_program(Container&& container) {
  Container out;
  out.name = std::move(container.name);
  out.ports = std::move(container.ports);
  out.ports.shrink_to_fit();
  return out;
}

// What a pod's workload is named after: who controls it, by kind and name.
void reduce_owners(Metadata& meta) {
  const auto controller = std::ranges::find_if(meta.owners, &OwnerReference::controller);
  if (controller != meta.owners.end()) std::iter_swap(meta.owners.begin(), controller);
  std::vector<OwnerReference> kept;
  kept.reserve(1);
  if (!meta.owners.empty())
    kept.push_back({.kind = std::move(meta.owners.front().kind),
                    .name = std::move(meta.owners.front().name),
                    .controller = meta.owners.front().controller});
  meta.owners = std::move(kept);
}

void reduce_pod(Pod& pod) {
  std::vector<Container> kept;
  for (Container& container : pod.spec.containers)
    if (has_named_port(container)) kept.push_back(without_program(std::move(container)));
  kept.shrink_to_fit();
  pod.spec.containers = std::move(kept);
  std::vector<Container>().swap(pod.spec.init_containers);
  Labels().swap(pod.spec.node_selector);
  std::vector<ContainerStatus>().swap(pod.status.containers);
  std::vector<Condition> ready;
  for (Condition& condition : pod.status.conditions)
    if (condition.type == "Ready") ready.push_back({.type = "Ready", .status = std::move(condition.status)});
  ready.shrink_to_fit();
  pod.status.conditions = std::move(ready);
  std::string().swap(pod.status.message);
  pod.status.pod_ips.shrink_to_fit();
}

bool same_metadata(const Metadata& before, const Metadata& now) {
  return before.uid == now.uid && before.labels == now.labels && before.annotations == now.annotations &&
         before.creation == now.creation && before.deletion == now.deletion && before.owners == now.owners;
}

bool same_pod(const Pod& before, const Pod& now) {
  const PodStatus &old_status = before.status, &new_status = now.status;
  // The rest of a pod's specification that is read here cannot be changed once the pod is bound to a node.
  return before.spec.node_name == now.spec.node_name && old_status.phase == new_status.phase &&
         old_status.host_ip == new_status.host_ip && old_status.pod_ips == new_status.pod_ips &&
         old_status.conditions == new_status.conditions;
}

}  // namespace

const std::vector<std::string_view>& unread_fields(Kind kind) {
  static const std::vector<std::string_view> kOfAll = {"metadata.managedFields"};
  static const std::vector<std::string_view> kOfPods = {
      "metadata.managedFields",           "spec.affinity",
      "spec.containers.args",             "spec.containers.command",
      "spec.containers.env",              "spec.containers.envFrom",
      "spec.containers.lifecycle",        "spec.containers.livenessProbe",
      "spec.containers.readinessProbe",   "spec.containers.resources",
      "spec.containers.securityContext",  "spec.containers.startupProbe",
      "spec.containers.volumeMounts",     "spec.ephemeralContainers",
      "spec.initContainers",              "spec.nodeSelector",
      "spec.tolerations",                 "spec.topologySpreadConstraints",
      "spec.volumes",                     "status.containerStatuses",
      "status.ephemeralContainerStatuses", "status.initContainerStatuses",
  };
  return kind == Kind::kPod ? kOfPods : kOfAll;
}

void reduce(Object& object) {
  // A static pod is known to its node by what this one says: its object is a mirror with a uid of its own.
  constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
  std::erase_if(object.meta.annotations,
                [&](const auto& entry) { return !is_of_a_mesh(entry.first) && entry.first != kMirror; });
  if (object.kind == Kind::kPod) {
    reduce_owners(object.meta);
    reduce_pod(static_cast<Pod&>(object));
  } else {
    std::vector<OwnerReference>().swap(object.meta.owners);
  }
}

bool says_the_same(const Object& before, const Object& now) {
  if (before.kind != now.kind || before.refused || now.refused || before.api_version != now.api_version) return false;
  if (!same_metadata(before.meta, now.meta)) return false;
  if (now.kind == Kind::kPod) return same_pod(static_cast<const Pod&>(before), static_cast<const Pod&>(now));
  // A generation counts changes of the specification alone; Services and Namespaces have none.
  return now.meta.generation != 0 && before.meta.generation == now.meta.generation && now.kind != Kind::kNode;
}

}  // namespace weft::objects
