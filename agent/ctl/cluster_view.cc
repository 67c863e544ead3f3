#include "agent/ctl/cluster_view.h"

#include <sys/stat.h>

#include <algorithm>

#include "agent/sandbox/deployments.h"
#include "agent/sandbox/files.h"
#include "agent/sandbox/kubelet.h"
#include "agent/sandbox/names.h"

namespace weft::ctl {
namespace {

// The worst word wins: one node that refuses is what a user wants to see.
int gravity(const std::string& status) {
  return status == "False" ? 2 : status == "Unknown" ? 1 : 0;
}

void merge_condition(Json& conditions, const Json& fresh) {
  if (!conditions.is_array()) conditions = Json::array();
  for (Json& known : conditions) {
    if (sandbox::at(known, "type") != sandbox::at(fresh, "type")) continue;
    if (gravity(sandbox::text_at(fresh, "status")) > gravity(sandbox::text_at(known, "status")))
      known = fresh;
    return;
  }
  conditions.push_back(fresh);
}

}  // namespace

std::vector<WrittenStatus> read_statuses(const Layout& layout) {
  std::vector<WrittenStatus> statuses;
  for (const std::string& file : sandbox::list_directory(layout.status())) {
    if (file.front() == '.' || !file.ends_with(".json")) continue;
    auto text = sandbox::read_file(layout.status() + "/" + file);
    if (!text) continue;
    auto json = sandbox::parse_json(*text);
    if (!json) continue;
    WrittenStatus status;
    status.object = {sandbox::text_at(*json, "kind"), sandbox::text_at(*json, "namespace"),
                     sandbox::text_at(*json, "name")};
    status.writer = sandbox::text_at(*json, "writer");
    status.content = std::move(*json);
    statuses.push_back(std::move(status));
  }
  return statuses;
}

void ClusterView::add(const sandbox::Store& store) {
  for (const auto& [name, object] : store.objects()) {
    Json copy = object;
    struct stat info{};
    if (!sandbox::has(copy, "metadata.creationTimestamp") && ::stat(store.path_of(name).c_str(), &info) == 0)
      copy["metadata"]["creationTimestamp"] =
          sandbox::time_text(std::chrono::system_clock::from_time_t(info.st_mtim.tv_sec));
    if (!sandbox::is_cluster_wide(name.kind)) copy["metadata"]["namespace"] = name.ns;
    objects_[name] = std::move(copy);
  }
}

void ClusterView::merge_status(const WrittenStatus& status) {
  auto found = objects_.find(status.object);
  if (found == objects_.end()) return;
  Json& into = found->second["status"];
  if (!into.is_object()) into = Json::object();
  for (const Json& condition : sandbox::list_at(status.content, "conditions"))
    merge_condition(into["conditions"], condition);
  Json said{{"writer", status.writer}, {"conditions", sandbox::at(status.content, "conditions")}};
  const auto& findings = sandbox::list_at(status.content, "findings");
  if (!findings.empty()) said["findings"] = findings;
  into["weft"].push_back(std::move(said));
}

ClusterView ClusterView::load(const Layout& layout) {
  ClusterView view;
  for (const std::string& directory : {layout.user(), layout.generated()}) {
    sandbox::Store store(directory);
    store.refresh();
    view.add(store);
  }
  view.statuses_ = read_statuses(layout);
  for (const WrittenStatus& status : view.statuses_) view.merge_status(status);
  return view;
}

std::vector<const Json*> ClusterView::find(const std::string& kind, const std::string& ns,
                                           const std::string& name) const {
  std::vector<const Json*> found;
  for (const auto& [key, object] : objects_)
    if (key.kind == kind && (ns.empty() || key.ns.empty() || key.ns == ns) &&
        (name.empty() || key.name == name))
      found.push_back(&object);
  return found;
}

const Json* ClusterView::one(const ObjectName& name) const {
  auto found = objects_.find(name);
  return found == objects_.end() ? nullptr : &found->second;
}

const Json* agent_report(const ClusterView& view, const std::string& writer) {
  for (const WrittenStatus& status : view.statuses())
    if (status.object.kind == "Agent" && status.object.name == writer) return &status.content;
  return nullptr;
}

std::string condition_of(const Json& object, const std::string& type) {
  for (const Json& condition : sandbox::list_at(object, "status.conditions"))
    if (sandbox::text_at(condition, "type") == type) return sandbox::text_at(condition, "status");
  return "";
}

DeploymentState state_of(const Json& deployment, const ClusterView& view) {
  DeploymentState state;
  state.wanted = sandbox::int_at(deployment, "spec.replicas", 1);
  const std::string hash = sandbox::template_hash(deployment);
  for (const Json* pod : view.find("Pod", sandbox::text_at(deployment, "metadata.namespace"))) {
    if (!sandbox::is_owned(*pod, deployment)) continue;
    const bool fresh = sandbox::label_of(*pod, "pod-template-hash") == hash;
    if (!fresh || sandbox::has(*pod, "metadata.deletionTimestamp")) {
      ++state.others;
      continue;
    }
    ++state.fresh;
    state.ready += sandbox::condition_holds(*pod, "Ready") ? 1 : 0;
  }
  return state;
}

}  // namespace weft::ctl
