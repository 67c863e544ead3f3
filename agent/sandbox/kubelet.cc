#include "agent/sandbox/kubelet.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "agent/objects/annotations.h"
#include "agent/sandbox/cgroup.h"
#include "agent/sandbox/files.h"
#include "agent/sandbox/names.h"
#include "agent/sandbox/pod_spec.h"
#include "userspace-proxy/base/log.h"

namespace weft::sandbox {
namespace {

using base::Millis;

// Between "terminating" in the EndpointSlice and SIGTERM: callers learn first. A cluster asks for this with a
// preStop sleep; servers that die on SIGTERM at once (httpgo) need it.
constexpr base::Nanos kDrainTime = Millis(300);
constexpr base::Nanos kNetworkRetry = std::chrono::seconds(2);
constexpr base::Nanos kTokenRetry = std::chrono::seconds(2);
constexpr off_t kMaxLog = 10 << 20;
constexpr uint32_t kFirstHost = 2, kLastHost = 254;

base::Nanos grace_of(const Json& pod) {
  const int64_t asked = int_at(pod, "metadata.deletionGracePeriodSeconds",
                               int_at(pod, "spec.terminationGracePeriodSeconds", 30));
  return std::chrono::seconds(std::clamp<int64_t>(asked, 0, 3600));
}

}  // namespace

void set_condition(Json& status, const std::string& type, bool holds, const std::string& reason,
                   const std::string& message) {
  Json entry{{"type", type}, {"status", holds ? "True" : "False"}, {"lastTransitionTime", now_text()}};
  if (!reason.empty()) entry["reason"] = reason;
  if (!message.empty()) entry["message"] = message;
  if (!status["conditions"].is_array()) status["conditions"] = Json::array();
  for (Json& old : status["conditions"]) {
    if (text_at(old, "type") != type) continue;
    if (text_at(old, "status") == text_at(entry, "status"))
      entry["lastTransitionTime"] = at(old, "lastTransitionTime");
    old = entry;
    return;
  }
  status["conditions"].push_back(entry);
}

bool condition_holds(const Json& object, const std::string& type) {
  for (const Json& condition : list_at(object, "status.conditions"))
    if (text_at(condition, "type") == type) return text_at(condition, "status") == "True";
  return false;
}

std::string log_dir(const Layout& layout, const std::string& ns, const std::string& pod) {
  return layout.logs() + "/" + ns + "_" + pod;
}

Kubelet::Record& Kubelet::record_of(const Json& pod) {
  const std::string uid = text_at(pod, "metadata.uid");
  auto found = records_.find(uid);
  if (found != records_.end()) return found->second;
  Record record;
  record.ns = text_at(pod, "metadata.namespace");
  record.name = text_at(pod, "metadata.name");
  record.uid = uid;
  record.node = text_at(pod, "spec.nodeName");
  if (!bool_at(pod, "spec.hostNetwork")) record.host = free_host(record.node);
  for (const Json& spec : list_at(pod, "spec.initContainers"))
    record.containers.emplace_back(text_at(spec, "name"), true);
  for (const Json& spec : list_at(pod, "spec.containers"))
    record.containers.emplace_back(text_at(spec, "name"), false);
  // Before anything of the pod is made: whoever comes next finds the record.
  (void)make_directories(pod_dir(layout_, pod));
  save(record);
  return records_.emplace(uid, std::move(record)).first->second;
}

uint32_t Kubelet::free_host(const std::string& node) {
  uint32_t& last = last_host_[node];
  for (uint32_t tried = kFirstHost; tried <= kLastHost; ++tried) {
    last = last < kFirstHost || last >= kLastHost ? kFirstHost : last + 1;
    const bool taken = std::ranges::any_of(
        records_, [&](const auto& item) { return item.second.node == node && item.second.host == last; });
    if (!taken) return last;
  }
  return 0;
}

PodNetwork Kubelet::network_of(const Record& record) const {
  const uint32_t node = layout_.node_number(record.node);
  return {layout_.netns(record.name + "." + record.uid.substr(0, 8)), record.node,
          "veth" + record.uid.substr(0, 8), layout_.pod_v4(node, record.host),
          layout_.plan().dual_stack ? layout_.pod_v6(node, record.host) : ""};
}

void Kubelet::save(const Record& record) const {
  Json json{{"namespace", record.ns}, {"name", record.name}, {"uid", record.uid},
            {"node", record.node},    {"host", record.host}, {"networked", record.networked}};
  for (const Container& container : record.containers) json["containers"].push_back(container.to_json());
  const std::string file = layout_.pods() + "/" + record.uid + "/state.json";
  if (auto written = write_file(file, json.dump(2)); !written)
    spdlog::error("pod {}/{}: {}", record.ns, record.name, base::describe(written.error()));
}

void Kubelet::adopt(const std::map<std::string, const Json*>& pods_by_uid) {
  for (const std::string& uid : list_directory(layout_.pods())) {
    auto text = read_file(layout_.pods() + "/" + uid + "/state.json");
    auto json = text ? parse_json(*text) : base::Result<Json>(std::unexpected(text.error()));
    Record record;
    record.uid = uid;
    if (json) {
      record.ns = text_at(*json, "namespace");
      record.name = text_at(*json, "name");
      record.node = text_at(*json, "node");
      record.host = static_cast<uint32_t>(int_at(*json, "host"));
      record.networked = bool_at(*json, "networked");
      for (const Json& item : list_at(*json, "containers"))
        record.containers.push_back(Container::from_json(item));
    }
    if (!pods_by_uid.contains(uid)) {
      spdlog::info("pod {}/{}: no object any more, removing what is left of it", record.ns, record.name);
      remove_traces(record);
      continue;
    }
    last_host_[record.node] = std::max(last_host_[record.node], record.host);
    records_.emplace(uid, std::move(record));
  }
}

bool Kubelet::sync(Json& pod, base::Instant now) {
  Record& record = record_of(pod);
  if (has(pod, "metadata.deletionTimestamp")) {
    if (take_down(pod, record, now)) return true;
    remove_traces(record);
    records_.erase(record.uid);
    return false;
  }
  if (ensure_network(pod, record, now) && ensure_tokens(pod, record, now)) run_containers(pod, record, now);
  write_status(pod, record);
  return true;
}

bool Kubelet::ensure_network(Json& pod, Record& record, base::Instant now) {
  const uint32_t node = layout_.node_number(record.node);
  if (record.networked) return true;
  if (now < record.retry_network) return false;
  const PodNetwork network = network_of(record);
  base::Status made{};
  if (record.host != 0) made = make_pod_network(layout_, network);
  if (!made) {
    record.trouble = base::describe(made.error());
    record.retry_network = now + kNetworkRetry;
    spdlog::warn("pod {}/{}: {}", record.ns, record.name, record.trouble);
    (void)remove_pod_network(layout_, network);
    return false;
  }
  Json& status = pod["status"];
  const bool own = record.host != 0;
  status["podIP"] = own ? network.v4 : layout_.node_v4(node);
  status["podIPs"] = Json::array({{{"ip", status["podIP"]}}});
  if (layout_.plan().dual_stack)
    status["podIPs"].push_back({{"ip", own ? network.v6 : layout_.node_v6(node)}});
  status["hostIP"] = layout_.node_v4(node);
  status["startTime"] = now_text();
  pod["metadata"]["annotations"][objects::kNetnsAnnotation] = pod_netns(layout_, pod);
  const std::string dir = pod_dir(layout_, pod);
  (void)write_file(dir + "/resolv.conf", resolv_conf(layout_, record.ns));
  (void)write_file(dir + "/hosts", hosts_file(pod));
  (void)make_directories(log_dir(layout_, record.ns, record.name));
  record.networked = true;
  record.trouble.clear();
  save(record);
  return true;
}

bool Kubelet::ensure_tokens(const Json& pod, Record& record, base::Instant now) {
  if (now < record.tokens_due) return record.has_tokens;
  const auto renew =
      write_tokens(pod_dir(layout_, pod) + "/volumes", issuer_, pod, std::chrono::system_clock::now());
  if (!renew) {
    record.trouble = base::describe(renew.error());
    record.tokens_due = now + kTokenRetry;
    spdlog::warn("pod {}/{}: {}", record.ns, record.name, record.trouble);
    return record.has_tokens;
  }
  record.tokens_due = *renew ? now + **renew : base::Instant::max();
  record.has_tokens = true;
  record.trouble.clear();
  return true;
}

void Kubelet::run_containers(Json& pod, Record& record, base::Instant now) {
  bool may_start = true, changed = false;
  for (Container& container : record.containers) {
    const Json* spec = nullptr;
    for (const char* list : {"spec.initContainers", "spec.containers"})
      for (const Json& item : list_at(pod, list))
        if (text_at(item, "name") == container.name()) spec = &item;
    if (spec == nullptr) continue;
    const Json before = container.to_json();
    const std::string log = log_dir(layout_, record.ns, record.name) + "/" + container.name() + ".log";
    container.tick({layout_, images_, pod, *spec, log, now}, may_start);
    changed |= before != container.to_json();
    // Init containers run one after the other, each to its good end.
    if (container.init() && !container.succeeded()) may_start = false;
  }
  if (changed) save(record);
  rotate_logs(record);
}

void Kubelet::rotate_logs(const Record& record) const {
  for (const Container& container : record.containers) {
    const std::string log = log_dir(layout_, record.ns, record.name) + "/" + container.name() + ".log";
    struct stat info{};
    if (::stat(log.c_str(), &info) != 0 || info.st_size < kMaxLog) continue;
    // The process keeps its descriptor (append mode), so the file is copied and emptied, not renamed.
    std::error_code error;
    std::filesystem::copy_file(log, log + ".1", std::filesystem::copy_options::overwrite_existing, error);
    (void)!::truncate(log.c_str(), 0);
  }
}

bool Kubelet::take_down(Json& pod, Record& record, base::Instant now) {
  if (record.terminate_at == base::Instant{}) {
    const bool serving =
        std::ranges::any_of(record.containers, [](const Container& c) { return c.running(); });
    record.terminate_at = now + (serving && grace_of(pod) > base::Nanos{} ? kDrainTime : base::Nanos{});
    record.kill_at = record.terminate_at + grace_of(pod);
  }
  if (now < record.terminate_at) {
    run_containers(pod, record, now);
    write_status(pod, record);
    return true;
  }
  const std::string cgroup = layout_.kubepods(record.node) + "/pod" + record.uid;
  if (!record.killed) {
    for (Container& container : record.containers) container.stop();
    run_containers(pod, record, now);
    write_status(pod, record);
    const bool over = std::ranges::none_of(record.containers, [](const Container& c) { return c.running(); });
    if (!over && now < record.kill_at) return true;
    kill_all_in(cgroup);
    record.killed = true;
  }
  return is_directory(cgroup) && is_populated(cgroup);
}

void Kubelet::remove_traces(const Record& record) {
  if (!record.node.empty()) {
    auto removed = remove_cgroup(layout_.kubepods(record.node) + "/pod" + record.uid, Millis(2000));
    if (!removed) spdlog::warn("pod {}/{}: {}", record.ns, record.name, base::describe(removed.error()));
    if (record.host != 0) (void)remove_pod_network(layout_, network_of(record));
    (void)remove_tree(log_dir(layout_, record.ns, record.name));
  }
  (void)remove_tree(layout_.pods() + "/" + record.uid);
}

void Kubelet::write_status(Json& pod, const Record& record) const {
  Json& status = pod["status"];
  Json inits = Json::array(), mains = Json::array();
  bool initialized = true, ready = record.networked, any_running = false, all_done = true, any_failed = false;
  for (const Container& container : record.containers) {
    const Json* spec = nullptr;
    for (const char* list : {"spec.initContainers", "spec.containers"})
      for (const Json& item : list_at(pod, list))
        if (text_at(item, "name") == container.name()) spec = &item;
    (container.init() ? inits : mains).push_back(container.status(spec == nullptr ? Json::object() : *spec));
    if (container.init()) {
      initialized &= container.succeeded();
      continue;
    }
    ready &= container.ready();
    any_running |= container.running() || container.restarts() > 0;
    all_done &= container.state() == Container::State::kTerminated;
    any_failed |= container.state() == Container::State::kTerminated && !container.succeeded();
  }
  if (!inits.empty()) status["initContainerStatuses"] = inits;
  status["containerStatuses"] = mains;
  status["phase"] = all_done ? (any_failed ? "Failed" : "Succeeded") : any_running ? "Running" : "Pending";
  set_condition(status, "PodScheduled", true);
  set_condition(status, "Initialized", initialized, initialized ? "" : "ContainersNotInitialized");
  const std::string why = ready ? "" : !record.networked    ? "NetworkNotReady"
                          : !record.has_tokens ? "TokensNotReady"
                                               : "ContainersNotReady";
  set_condition(status, "ContainersReady", ready, why, record.trouble);
  set_condition(status, "Ready", ready, why, record.trouble);
}

bool Kubelet::on_exit(pid_t pid, int status, base::Instant now) {
  for (auto& [uid, record] : records_)
    for (Container& container : record.containers)
      if (container.on_exit(pid, status, now)) {
        save(record);
        return true;
      }
  return false;
}

base::Instant Kubelet::due(base::Instant now) const {
  base::Instant when = base::Instant::max();
  for (const auto& [uid, record] : records_) {
    if (!record.networked) when = std::min(when, std::max(record.retry_network, now));
    when = std::min(when, std::max(record.tokens_due, now));
    // While a pod goes down its cgroup is looked at again and again: nothing announces the last exit.
    if (record.terminate_at != base::Instant{}) when = std::min(when, now + Millis(50));
    for (const Container& container : record.containers) when = std::min(when, container.due(now));
  }
  return when;
}

}  // namespace weft::sandbox
