#include "agent/state/workloads.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace weft::state {
namespace {

std::string first_label(const objects::Labels& labels, std::initializer_list<const char*> keys,
                        std::string otherwise) {
  for (const char* key : keys) {
    const auto found = labels.find(key);
    if (found != labels.end() && !found->second.empty()) return found->second;
  }
  return otherwise;
}

// "web-7d4b9c6f5d" without its last part, if that part is at least `length` letters of `alphabet`.
std::string without_suffix(const std::string& name, std::string_view alphabet, size_t length) {
  const size_t dash = name.rfind('-');
  if (dash == std::string::npos || dash == 0 || name.size() - dash - 1 < length) return name;
  const std::string_view suffix = std::string_view(name).substr(dash + 1);
  return suffix.find_first_not_of(alphabet) == std::string_view::npos ? name.substr(0, dash) : name;
}

std::string owner_of_replica_set(const objects::Pod& pod, const std::string& name) {
  const auto hash = pod.meta.labels.find("pod-template-hash");
  if (hash != pod.meta.labels.end() && name.ends_with("-" + hash->second)) {
    return name.substr(0, name.size() - hash->second.size() - 1);
  }
  // The letters Kubernetes makes hashes of: no vowels, no digits that look like letters.
  return without_suffix(name, "bcdfghjklmnpqrstvwxz2456789", 1);
}

const objects::OwnerReference* controller_of(const objects::Pod& pod) {
  for (const objects::OwnerReference& owner : pod.meta.owners)
    if (owner.controller) return &owner;
  return pod.meta.owners.empty() ? nullptr : &pod.meta.owners.front();
}

}  // namespace

std::string owner_of(const objects::Pod& pod) {
  const std::string given = first_label(pod.meta.labels, {"service.istio.io/workload-name"}, "");
  if (!given.empty()) return given;
  const objects::OwnerReference* owner = controller_of(pod);
  if (!owner) return pod.meta.name;
  if (owner->kind == "ReplicaSet") return owner_of_replica_set(pod, owner->name);
  if (owner->kind == "Job") return without_suffix(owner->name, "0123456789", 8);  // a CronJob adds minutes
  if (owner->kind == "Node") return pod.meta.name;                                // a static pod
  return owner->name;
}

model::Workload make_workload(const objects::Pod& pod) {
  model::Workload out;
  out.name = pod.meta.name;
  out.ns = pod.meta.ns;
  out.uid = pod.meta.uid;
  out.service_account = pod.spec.service_account.empty() ? "default" : pod.spec.service_account;
  out.node = pod.spec.node_name;
  out.owner = owner_of(pod);
  out.canonical_name = first_label(
      pod.meta.labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}, out.owner);
  out.canonical_revision =
      first_label(pod.meta.labels,
                  {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}, "latest");
  out.host_ip = pod.status.host_ip;
  out.addresses = pod.status.pod_ips;
  out.host_network = pod.spec.host_network;
  return out;
}

}  // namespace weft::state
