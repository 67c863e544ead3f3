#include "agent/sandbox/deployments.h"

#include <algorithm>

#include "agent/sandbox/kubelet.h"
#include "agent/sandbox/names.h"

namespace weft::sandbox {
namespace {

bool going(const Json& pod) {
  return has(pod, "metadata.deletionTimestamp");
}

// The least useful first: not ready before ready, then the youngest.
void sort_by_worth(std::vector<const Json*>* pods) {
  std::ranges::sort(*pods, [](const Json* a, const Json* b) {
    const bool ready_a = condition_holds(*a, "Ready"), ready_b = condition_holds(*b, "Ready");
    if (ready_a != ready_b) return !ready_a;
    const auto made_a = text_at(*a, "metadata.creationTimestamp"),
               made_b = text_at(*b, "metadata.creationTimestamp");
    return made_a != made_b ? made_a > made_b : text_at(*a, "metadata.name") < text_at(*b, "metadata.name");
  });
}

void remove_first(std::vector<const Json*> pods, size_t count, Rollout* rollout) {
  sort_by_worth(&pods);
  for (size_t i = 0; i < std::min(count, pods.size()); ++i)
    rollout->remove.push_back(text_at(*pods[i], "metadata.name"));
}

}  // namespace

std::string template_hash(const Json& deployment) {
  return safe_letters(hash_of(at(deployment, "spec.template").dump()), 10);
}

Rollout plan_rollout(const Json& deployment, const std::vector<const Json*>& pods) {
  const std::string hash = template_hash(deployment);
  const auto wanted = static_cast<size_t>(std::max<int64_t>(0, int_at(deployment, "spec.replicas", 1)));
  const bool recreate = text_at(deployment, "spec.strategy.type") == "Recreate";
  std::vector<const Json*> fresh, old, old_ready;
  size_t fresh_ready = 0, leaving_old = 0;
  for (const Json* pod : pods) {
    const bool current = text_at(*pod, "metadata.labels.pod-template-hash") == hash;
    const bool ready = condition_holds(*pod, "Ready");
    if (going(*pod)) {
      leaving_old += current ? 0 : 1;
      continue;
    }
    (current ? fresh : old).push_back(pod);
    fresh_ready += current && ready ? 1 : 0;
    if (!current && ready) old_ready.push_back(pod);
  }
  Rollout rollout;
  if (fresh.size() > wanted) remove_first(fresh, fresh.size() - wanted, &rollout);
  if (recreate && !old.empty()) {
    remove_first(old, old.size(), &rollout);
    return rollout;
  }
  const size_t limit = old.empty() ? wanted : wanted + 1;
  if (fresh.size() < wanted && fresh.size() + old.size() < limit && !(recreate && leaving_old > 0))
    rollout.create =
        static_cast<uint32_t>(std::min(wanted - fresh.size(), limit - fresh.size() - old.size()));
  // Old pods that serve nobody may go at once; ready ones only while enough others are ready.
  const size_t ready = fresh_ready + old_ready.size();
  const size_t spare = ready > wanted ? ready - wanted : 0;
  const size_t not_ready = old.size() - old_ready.size();
  remove_first(old, not_ready + std::min(spare, old_ready.size()), &rollout);
  return rollout;
}

Json make_pod(const Json& deployment, const std::string& suffix) {
  const Json& shape = at(deployment, "spec.template");
  const std::string hash = template_hash(deployment);
  const std::string set = text_at(deployment, "metadata.name") + "-" + hash;
  Json pod{{"apiVersion", "v1"}, {"kind", "Pod"}, {"spec", at(shape, "spec")}};
  Json& meta = pod["metadata"];
  meta["name"] = set + "-" + suffix;
  meta["generateName"] = set + "-";
  meta["namespace"] = text_at(deployment, "metadata.namespace", "default");
  meta["labels"] = at(shape, "metadata.labels");
  meta["labels"]["pod-template-hash"] = hash;
  if (has(shape, "metadata.annotations")) meta["annotations"] = at(shape, "metadata.annotations");
  meta["ownerReferences"] = Json::array({{{"apiVersion", "apps/v1"},
                                          {"kind", "ReplicaSet"},
                                          {"name", set},
                                          {"uid", "rs-" + safe_letters(hash_of(set), 12)},
                                          {"controller", true},
                                          {"blockOwnerDeletion", true}}});
  complete_pod(pod);
  return pod;
}

void complete_pod(Json& pod) {
  Json& meta = pod["metadata"];
  if (!has(meta, "namespace")) meta["namespace"] = "default";
  if (!has(meta, "uid")) meta["uid"] = random_uid();
  if (!has(meta, "creationTimestamp")) meta["creationTimestamp"] = now_text();
  Json& spec = pod["spec"];
  const std::string account = text_at(spec, "serviceAccountName", text_at(spec, "serviceAccount", "default"));
  spec["serviceAccountName"] = account;
  if (!has(spec, "restartPolicy")) spec["restartPolicy"] = "Always";
  if (!has(pod, "status.phase")) pod["status"]["phase"] = "Pending";
}

std::string deployment_of(const Json& pod) {
  const std::string set = text_at(pod, "metadata.ownerReferences.0.name");
  const std::string hash = text_at(pod, "metadata.labels.pod-template-hash");
  const bool fits = text_at(pod, "metadata.ownerReferences.0.kind") == "ReplicaSet" && !hash.empty() &&
                    set.ends_with("-" + hash);
  return fits ? set.substr(0, set.size() - hash.size() - 1) : "";
}

bool is_owned(const Json& pod, const Json& deployment) {
  return text_at(pod, "metadata.namespace") == text_at(deployment, "metadata.namespace", "default") &&
         deployment_of(pod) == text_at(deployment, "metadata.name");
}

}  // namespace weft::sandbox
