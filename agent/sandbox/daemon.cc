#include "agent/sandbox/daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "agent/sandbox/cgroup.h"
#include "agent/sandbox/deployments.h"
#include "agent/sandbox/dns.h"
#include "agent/sandbox/endpoints.h"
#include "agent/sandbox/names.h"
#include "agent/sandbox/nft.h"
#include "agent/sandbox/scheduler.h"
#include "agent/sandbox/system.h"
#include "userspace-proxy/base/log.h"

namespace weft::sandbox {
namespace {

using base::Millis;
using std::chrono::seconds;

constexpr base::Nanos kLongestSleep = seconds(1);
constexpr base::Nanos kShortestSleep = Millis(20);
constexpr const char* kAppliedHash = "weft.mesh/sandbox-spec-hash";

base::Fd watch_directories(const std::vector<std::string>& directories) {
  base::Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  for (const std::string& directory : directories)
    ::inotify_add_watch(fd.get(), directory.c_str(),
                        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
  return fd;
}

base::Fd catch_signals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&wanted, number);
  ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return base::Fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

Json node_object(const Layout& layout, uint32_t number) {
  const std::string name = layout.node_name(number);
  Json addresses = Json::array({{{"type", "InternalIP"}, {"address", layout.node_v4(number)}}});
  Json cidrs = Json::array({layout.pod_cidr_v4(number)});
  if (layout.plan().dual_stack) {
    addresses.push_back({{"type", "InternalIP"}, {"address", layout.node_v6(number)}});
    cidrs.push_back(layout.pod_cidr_v6(number));
  }
  addresses.push_back({{"type", "Hostname"}, {"address", name}});
  Json node{{"apiVersion", "v1"},
            {"kind", "Node"},
            {"metadata",
             {{"name", name},
              {"uid", node_uid(name)},
              {"labels", {{"kubernetes.io/hostname", name}, {"kubernetes.io/os", "linux"}}}}},
            {"spec", {{"podCIDR", cidrs[0]}, {"podCIDRs", cidrs}}}};
  node["metadata"]["creationTimestamp"] = now_text();
  node["status"]["addresses"] = addresses;
  node["status"]["conditions"] =
      Json::array({{{"type", "Ready"}, {"status", "True"}, {"reason", "KubeletReady"}}});
  return node;
}

}  // namespace

base::Result<std::unique_ptr<Daemon>> Daemon::create(Layout layout) {
  auto lock = FileLock::try_take(layout.daemon_lock());
  if (!lock) return base::fail(base::ErrorKind::kConflict, "the sandbox's daemon is already running");
  TRY_ASSIGN(auto issuer, TokenIssuer::open(layout.tokens()));
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(layout), std::move(*lock), std::move(issuer)));
  TRY(daemon->prepare());
  return daemon;
}

Daemon::Daemon(Layout layout, FileLock lock, TokenIssuer issuer)
    : layout_(std::move(layout)),
      images_(layout_.plan().programs, layout_.plan().images),
      lock_(std::move(lock)),
      issuer_(std::move(issuer)),
      kubelet_(layout_, images_, issuer_),
      services_(layout_),
      user_(layout_.user()),
      applied_(layout_.applied()),
      generated_(layout_.generated()) {}

base::Status Daemon::prepare() {
  inotify_ = watch_directories({layout_.user(), layout_.applied(), layout_.requests()});
  signals_ = catch_signals();
  if (!inotify_ || !signals_) return base::fail_errno("prepare inotify and signals");
  TRY(write_file(layout_.jwks_dir() + "/jwks.json", issuer_.jwks()));
  generated_.refresh();
  for (uint32_t number = 1; number <= layout_.plan().nodes; ++number)
    if (generated_.find({"Node", "", layout_.node_name(number)}) == nullptr)
      TRY(generated_.put(node_object(layout_, number)));
  std::map<std::string, const Json*> by_uid;
  for (const Json* pod : pods()) by_uid[text_at(*pod, "metadata.uid")] = pod;
  kubelet_.adopt(by_uid);
  return {};
}

base::Status Daemon::run() {
  spdlog::info("sandbox {}: {} nodes, serving", layout_.plan().name, layout_.plan().nodes);
  while (!stopping_) {
    turn();
    sleep_until_something();
  }
  spdlog::info("sandbox {}: stopped, pods go on", layout_.plan().name);
  return {};
}

void Daemon::turn() {
  now_ = clock_.now();
  reap();
  user_.refresh();
  applied_.refresh();
  answer_requests();
  sync_services();
  sync_user_pods();
  if (layout_.plan().mesh) sync_system_pods();
  sync_deployments();
  schedule();
  sync_pods();
  sync_endpoints();
  sync_proxies();
  sync_dns();
  write_forward_target();
  keep_helper("forward", {"/proc/self/exe", "sandbox", "--name", layout_.plan().name, "forward"}, "");
}

void Daemon::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) (void)kubelet_.on_exit(pid, status, now_);
}

std::vector<const Json*> Daemon::of_kind(const std::string& kind) const {
  std::vector<const Json*> found;
  for (const auto& [name, object] : generated_.objects())
    if (name.kind == kind) found.push_back(&object);
  return found;
}

void Daemon::begin_deletion(Json& pod) {
  if (has(pod, "metadata.deletionTimestamp")) return;
  const int64_t grace = int_at(pod, "metadata.deletionGracePeriodSeconds",
                               int_at(pod, "spec.terminationGracePeriodSeconds", 30));
  pod["metadata"]["deletionGracePeriodSeconds"] = grace;
  pod["metadata"]["deletionTimestamp"] = time_text(std::chrono::system_clock::now() + seconds(grace));
  if (auto put = generated_.put(pod); !put) spdlog::error("{}", base::describe(put.error()));
}

void Daemon::answer_requests() {
  for (const std::string& file : list_directory(layout_.requests())) {
    if (file.front() == '.') continue;
    const std::string path = layout_.requests() + "/" + file;
    auto text = read_file(path);
    auto request = text ? parse_json(*text) : base::Result<Json>(std::unexpected(text.error()));
    remove_file(path);
    if (!request) continue;
    const Json* found = generated_.find({"Pod", text_at(*request, "namespace"), text_at(*request, "name")});
    if (found == nullptr) continue;
    Json pod = *found;
    const std::string verb = text_at(*request, "verb");
    if (verb == "delete") {
      if (has(*request, "grace")) pod["metadata"]["deletionGracePeriodSeconds"] = at(*request, "grace");
      begin_deletion(pod);
    }
    if (verb == "label") {
      for (const auto& [key, value] : at(*request, "labels").items()) {
        pod["metadata"]["labels"][key] = value;
        if (value.is_null()) pod["metadata"]["labels"].erase(key);
      }
      (void)generated_.put(pod);
    }
  }
}

void Daemon::sync_services() {
  services_.see(generated_.objects());
  for (const auto& [name, applied] : applied_.objects()) {
    if (name.kind != "Service") continue;
    const Json* previous = generated_.find(name);
    Json complete = services_.complete(applied, previous);
    complete["metadata"]["namespace"] = name.ns;
    if (previous != nullptr && *previous == complete) continue;
    if (auto put = generated_.put(complete); !put) spdlog::error("{}", base::describe(put.error()));
  }
  std::vector<ObjectName> gone;
  for (const auto& [name, service] : generated_.objects())
    if (name.kind == "Service" && applied_.find(name) == nullptr) gone.push_back(name);
  for (const ObjectName& name : gone) generated_.erase(name);
}

void Daemon::sync_user_pods() {
  for (const auto& [name, applied] : applied_.objects()) {
    if (name.kind != "Pod") continue;
    const std::string hash = safe_letters(hash_of(at(applied, "spec").dump()), 10);
    const Json* running = generated_.find(name);
    Json pod = running == nullptr ? applied : *running;
    if (running == nullptr) {
      pod["metadata"]["namespace"] = name.ns;
      pod["metadata"]["annotations"][kAppliedHash] = hash;
      complete_pod(pod);
    }
    if (running != nullptr && at(pod, "metadata.annotations")[kAppliedHash] != hash) {
      begin_deletion(pod);  // another spec is another pod, made once this one is gone
      continue;
    }
    if (has(applied, "metadata.labels")) pod["metadata"]["labels"] = at(applied, "metadata.labels");
    if (running == nullptr || *running != pod) (void)generated_.put(pod);
  }
  for (const Json* known : pods()) {
    Json pod = *known;
    if (!has(pod, "metadata.ownerReferences") && applied_.find(name_of(pod)) == nullptr) begin_deletion(pod);
  }
}

void Daemon::sync_system_pods() {
  for (Json& pod : system_pods(layout_)) {
    if (generated_.find(name_of(pod)) != nullptr) continue;
    complete_pod(pod);
    if (auto put = generated_.put(pod); !put) spdlog::error("{}", base::describe(put.error()));
  }
}

void Daemon::sync_deployments() {
  const auto all = pods();
  std::vector<Json> changed;
  for (const auto& [name, deployment] : user_.objects()) {
    if (name.kind != "Deployment") continue;
    std::vector<const Json*> owned;
    for (const Json* pod : all)
      if (is_owned(*pod, deployment)) owned.push_back(pod);
    const Rollout rollout = plan_rollout(deployment, owned);
    for (uint32_t i = 0; i < rollout.create; ++i) changed.push_back(make_pod(deployment, random_suffix()));
    for (const std::string& victim : rollout.remove)
      if (const Json* pod = generated_.find({"Pod", name.ns, victim})) changed.push_back(*pod);
  }
  for (const Json* pod : all) {
    const std::string owner = deployment_of(*pod);
    if (!owner.empty() && user_.find({"Deployment", text_at(*pod, "metadata.namespace"), owner}) == nullptr)
      changed.push_back(*pod);
  }
  for (Json& pod : changed) {
    if (generated_.find(name_of(pod)) != nullptr)
      begin_deletion(pod);
    else
      (void)generated_.put(pod);
  }
}

void Daemon::schedule() {
  std::vector<Json> waiting;
  for (const Json* pod : pods())
    if (text_at(*pod, "spec.nodeName").empty()) waiting.push_back(*pod);
  for (Json& pod : waiting) {
    const std::string node = choose_node(pod, layout_.node_names(), pods());
    if (!node.empty()) pod["spec"]["nodeName"] = node;
    set_condition(pod["status"], "PodScheduled", !node.empty(), node.empty() ? "Unschedulable" : "",
                  node.empty() ? "no node meets spec.nodeSelector" : "");
    const Json* before = generated_.find(name_of(pod));
    if (before == nullptr || *before != pod) (void)generated_.put(pod);
  }
}

void Daemon::sync_pods() {
  std::vector<Json> all;
  for (const Json* pod : pods()) all.push_back(*pod);
  for (Json& pod : all) {
    const Json before = pod;
    const bool placed = layout_.node_number(text_at(pod, "spec.nodeName")) != 0;
    const bool alive = placed ? kubelet_.sync(pod, now_) : !has(pod, "metadata.deletionTimestamp");
    if (!alive) {
      generated_.erase(name_of(pod));
      forget_writer(name_of(pod));
      continue;
    }
    if (pod != before) (void)generated_.put(pod);
  }
}

void Daemon::forget_writer(const ObjectName& pod) const {
  const std::string agent = "Agent." + pod.ns + "." + pod.name + ".json";
  const std::string writer = "." + pod.ns + "%2E" + pod.name + ".json";
  for (const std::string& file : list_directory(layout_.status()))
    if (file == agent || file.ends_with(writer)) remove_file(layout_.status() + "/" + file);
}

void Daemon::sync_endpoints() {
  const auto all = pods();
  std::map<ObjectName, Json> wanted;
  for (const Json* service : of_kind("Service"))
    for (const Json& slice : endpoint_slices(*service, all)) wanted[name_of(slice)] = slice;
  std::vector<ObjectName> gone;
  for (const Json* slice : of_kind("EndpointSlice"))
    if (!wanted.contains(name_of(*slice))) gone.push_back(name_of(*slice));
  for (auto& [name, slice] : wanted) {
    const Json* before = generated_.find(name);
    const Json& old = before == nullptr ? slice : *before;
    slice["metadata"]["uid"] = text_at(old, "metadata.uid", before == nullptr ? random_uid() : "");
    slice["metadata"]["creationTimestamp"] = text_at(old, "metadata.creationTimestamp", now_text());
    if (before == nullptr || *before != slice) (void)generated_.put(slice);
  }
  for (const ObjectName& name : gone) generated_.erase(name);
}

void Daemon::sync_proxies() {
  if (now_ < rules_due_) return;
  const auto services = of_kind("Service");
  auto slices = of_kind("EndpointSlice");
  for (const auto& [name, object] : user_.objects())
    if (name.kind == "EndpointSlice") slices.push_back(&object);
  for (const std::string& node : layout_.node_names()) {
    const std::string rules = nft_ruleset(node, services, slices);
    std::string& loaded = loaded_rules_[node];
    if (loaded == rules) continue;
    auto done = run_tool({"nft", "-f", "-"}, rules, layout_.netns(node));
    if (done) {
      loaded = rules;
      continue;
    }
    spdlog::error("{}: service rules: {}", node, base::describe(done.error()));
    rules_due_ = now_ + seconds(2);
  }
}

void Daemon::sync_dns() {
  auto slices = of_kind("EndpointSlice");
  for (const auto& [name, object] : user_.objects())
    if (name.kind == "EndpointSlice") slices.push_back(&object);
  const std::string hosts = dns_hosts(of_kind("Service"), slices);
  const bool first = !exists(dns_hosts_path(layout_));
  if (first || hosts != loaded_hosts_) {
    if (auto written = write_file(dns_hosts_path(layout_), hosts); !written)
      spdlog::error("{}", base::describe(written.error()));
    loaded_hosts_ = hosts;
    for (const pid_t pid : processes_in(layout_.cgroup() + "/dns")) ::kill(pid, SIGHUP);
  }
  keep_helper("dns", dns_command(layout_), layout_.netns("fabric"));
}

void Daemon::keep_helper(const std::string& name, const std::vector<std::string>& argv,
                         const std::string& netns) {
  const std::string cgroup = layout_.cgroup() + "/" + name;
  if (is_populated(cgroup) || now_ < helper_due_[name]) return;
  helper_due_[name] = now_ + seconds(1);
  base::Fd log(
      ::open(layout_.in_state(name + ".log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  Launch launch;
  launch.argv = argv;
  launch.cgroup = cgroup;
  launch.netns = netns;
  launch.output = log.get();
  launch.detach = true;
  if (auto pid = start(launch); !pid) spdlog::error("{}: {}", name, base::describe(pid.error()));
}

void Daemon::write_forward_target() {
  const Json* service = generated_.find({"Service", "istio-system", "istio-ingressgateway"});
  if (service == nullptr) return;
  for (const Json& port : list_at(*service, "spec.ports")) {
    if (text_at(port, "name") != "http2" || !has(port, "nodePort")) continue;
    const std::string target = layout_.node_v4(1) + ":" + scalar_text(at(port, "nodePort"));
    const std::string file = layout_.in_state("forward-target");
    if (read_file(file).value_or("") != target) (void)write_file(file, target);
  }
}

void Daemon::sleep_until_something() {
  const base::Instant now = clock_.now();
  base::Instant until = std::min(kubelet_.due(now), now + kLongestSleep);
  until = std::max(until, now + kShortestSleep);
  pollfd waiting[] = {{inotify_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
  ::poll(waiting, 2, static_cast<int>(std::chrono::ceil<Millis>(until - now).count()));
  alignas(inotify_event) char events[4096];
  while (::read(inotify_.get(), events, sizeof events) > 0) {
  }
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info)
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) stopping_ = true;
}

base::Status post_request(const Layout& layout, const Json& request) {
  return write_file(layout.requests() + "/" + random_uid(), request.dump());
}

bool daemon_is_running(const Layout& layout) {
  return !FileLock::is_free(layout.daemon_lock());
}

}  // namespace weft::sandbox
