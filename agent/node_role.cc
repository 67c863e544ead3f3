#include "agent/node_role.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>

#include "agent/announce/pod_status_writer.h"
#include "agent/certificates.h"
#include "agent/channel_thread.h"
#include "agent/compile/compile.h"
#include "agent/enrol/enroller.h"
#include "agent/enrol/kernel_door.h"
#include "agent/enrol/pre_mesh_files.h"
#include "agent/enrol/rejudge.h"
#include "agent/enrol/system_netns.h"
#include "agent/event_log.h"
#include "agent/kernel/cgroup_tree.h"
#include "agent/kernel/kernel.h"
#include "agent/pod_entrance.h"
#include "agent/report/report.h"
#include "agent/report_parts.h"
#include "agent/signals.h"
#include "agent/source.h"
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/watchdog.h"

namespace weft::agent {
namespace {

constexpr base::Millis kReportEvery{500};
// Within this time of our start the proxies of the agent before us have come back, or are gone.
constexpr base::Nanos kProxiesReturn = std::chrono::seconds(10);

// Where the hooks are attached, and why there.
struct PodsPlace {
  kernel::CgroupChoice pods, kubelet;
};

// Fills in what was not said and can be found: where the pods are, and where the kubelet is.
base::Result<PodsPlace> find_place(const Options& options, const kernel::CgroupTree& tree) {
  PodsPlace out{{options.pods_cgroup, "named by --cgroup"}, {options.kubelet_cgroup, "named by --kubelet-cgroup"}};
  if (options.pods_cgroup.empty()) {
    TRY_ASSIGN(out.pods, tree.find_pods());
  }
  if (!options.kubelet_cgroup.empty()) return out;
  out.kubelet = {"", "not named by --kubelet-cgroup: probes of strict pods are refused"};
  if (!options.cni.socket.empty()) out.kubelet = tree.find_kubelet(out.pods.directory);
  return out;
}

kernel::Options kernel_options(const Options& options) {
  kernel::Options out;
  out.pin_root = options.pin_root;
  out.pods_cgroup = options.pods_cgroup;
  out.kubelet_cgroup = options.kubelet_cgroup;
  if (options.mark != 0) out.mark = options.mark;
  out.on_step = [](std::string_view step) { spdlog::info("kernel: {}", step); };
  return out;
}

// The node's agent: what enters by `source` leaves to the kernel, to the pods and to the proxy. One loop,
// plus the channel's thread.
class Node final : private publish::PublisherEvents {
 public:
  explicit Node(const Options& options) : options_(options), reports_(options.status_dir, options.node) {}

  base::Status run();

 private:
  base::Status open_kernel();
  base::Status open_enroller();
  base::Status open_announcer();
  base::Status build();
  void announce();
  [[nodiscard]] bool guards_new_pods() const;
  [[nodiscard]] bool has_exclusions(const state::NodePod& pod) const;
  void take(const state::Build& build);
  base::Status apply(const state::Build& build);
  void exempt_own_cgroups();
  void repair_hooks();
  void report();
  void report_exclusions(Report& report);

  // From the channel's thread.
  void on_proxy_ready(publish::ProxyId proxy) override;
  void on_proxy_gone(publish::ProxyId proxy) override { enroller_->on_proxy_gone(proxy); }
  void on_stock_level(publish::ProxyId proxy, const model::StockLevel& level) override {
    enroller_->on_stock_level(proxy, level);
  }
  void on_verdict(publish::ProxyId, const model::Verdict& verdict) override {
    if (!verdict.refusal.empty())
      spdlog::error("the proxy refused snapshot {}: {}", verdict.version, verdict.refusal);
  }

  const Options& options_;
  base::SystemClock clock_;
  std::optional<kernel::CgroupTree> tree_;
  PodsPlace place_;
  std::unique_ptr<base::Loop> loop_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<kernel::Kernel> kernel_;
  std::unique_ptr<enrol::KernelDoor> door_;
  std::unique_ptr<EventLog> events_;
  std::unique_ptr<ChannelThread> channel_;
  std::unique_ptr<Certificates> certificates_;
  std::unique_ptr<enrol::SelfTestHelper> tester_;
  std::unique_ptr<enrol::PreMeshFiles> pre_mesh_;
  std::unique_ptr<enrol::Enroller> enroller_;
  std::unique_ptr<enrol::Rejudge> rejudge_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<PodEntrance> entrance_;  // null: no CNI socket
  std::unique_ptr<announce::PodStatusWriter> pod_statuses_;  // null: no API server to tell
  std::unique_ptr<enrol::Announcer> announcer_;
  std::unique_ptr<base::Timer> timer_;
  compile::Ids ids_;
  model::SnapshotPtr snapshot_;
  std::vector<state::PodSandbox> sandboxes_;
  std::vector<state::NodePod> node_pods_;
  std::string last_sync_problem_, last_hook_problem_;
  std::set<std::string> exempt_;
  base::Instant started_ = clock_.now();
  bool proxies_known_ = false;  // as of the last exempt_own_cgroups()
  RoleCounters counters_;
  ReportWriter reports_;
};

base::Status Node::open_kernel() {
  TRY_ASSIGN(tree_, kernel::CgroupTree::open());
  TRY_ASSIGN(place_, find_place(options_, *tree_));
  spdlog::info("kernel: the pods' cgroup is {} ({})", place_.pods.directory, place_.pods.why);
  spdlog::info("kernel: the kubelet's cgroup: {} ({})", place_.kubelet.directory, place_.kubelet.why);
  kernel::Options kernel = kernel_options(options_);
  kernel.pods_cgroup = place_.pods.directory;
  kernel.kubelet_cgroup = place_.kubelet.directory;
  TRY_ASSIGN(kernel_, kernel::Kernel::open(kernel));
  ids_ = compile::Ids::recover(kernel_->current());
  door_ = std::make_unique<enrol::KernelDoor>(*kernel_);
  TRY_ASSIGN(events_, EventLog::create(*loop_, kernel_->events_map()));
  exempt_own_cgroups();
  return {};
}

base::Status Node::open_enroller() {
  TRY(enrol::make_switches_writable());
  // Below the pods' cgroup, so that the hooks see it, and not one of weft's own.
  TRY_ASSIGN(tester_, enrol::SelfTestHelper::create(*loop_, place_.pods.directory + "/weft-self-test"));
  enrol::Steering steering;
  if (options_.mark != 0) steering.mark = options_.mark;
  enrol::EnrolOptions enrol_options;
  TRY_ASSIGN(auto v4, base::Address::parse(compile::kSelfTestV4));
  TRY_ASSIGN(auto v6, base::Address::parse(compile::kSelfTestV6));
  enrol_options.self_test_v4 = {v4, compile::kSelfTestPort};
  enrol_options.self_test_v6 = {v6, compile::kSelfTestPort};
  TRY_ASSIGN(auto boot_id, enrol::read_boot_id(options_.boot_id_file));
  // Beside the proxies' socket: there until the node boots anew, whichever agent comes next.
  pre_mesh_ = std::make_unique<enrol::PreMeshFiles>(
      std::filesystem::path(options_.proxy_socket).parent_path() / "pre-mesh", boot_id);
  enroller_ = std::make_unique<enrol::Enroller>(
      *loop_,
      enrol::EnrolDoors{
          *door_, channel_->publisher(), *tester_,
          [steering](const std::string& path) { return enrol::SystemNetns::open(path, steering); },
          [steering](uint64_t cookie) { return enrol::SystemNetns::find(cookie, steering); }, pre_mesh_.get()},
      enrol_options);
  rejudge_ = std::make_unique<enrol::Rejudge>(
      *loop_, enrol::RejudgeDoors{*door_, [this]() -> const compile::Tables& { return kernel_->current(); },
                                  [this](uint32_t pod_id) { return enroller_->netns_of(pod_id); },
                                  [this](const weft_event& event) { events_->say_cut(event); }});
  return enroller_->adopt();
}

// Behind an API server the pods' objects say that they are captured.
base::Status Node::open_announcer() {
  if (!behind_api_server(options_)) return {};
  TRY_ASSIGN(auto boot_id, enrol::read_boot_id(options_.boot_id_file));
  TRY_ASSIGN(auto config, cluster_config(options_));
  TRY_ASSIGN(pod_statuses_, announce::PodStatusWriter::create(std::move(config), clock_, options_.node));
  announcer_ = std::make_unique<enrol::Announcer>(clock_, boot_id, *pod_statuses_,
                                                  options_.pod.empty() ? "" : options_.ns + "/" + options_.pod);
  announcer_->set_attached(fmt::format("{} ({})", place_.pods.directory, place_.pods.why));
  return {};
}

// Hooks are attached, tables are as the objects say, and a pod that starts now comes past us: it is captured or waits.
// Certificates and proxies may be missing: calls wait for those, none goes by.
bool Node::guards_new_pods() const {
  return last_sync_problem_.empty() && last_hook_problem_.empty() && (!entrance_ || entrance_->is_chained());
}

void Node::announce() {
  if (announcer_ == nullptr || snapshot_ == nullptr) return;
  std::vector<enrol::AnnouncedPod> pods;
  for (const auto& pod : node_pods_) {
    const bool in_force = has_exclusions(pod);
    pods.push_back({pod.ns, pod.name, pod.uid, pod.enrolled, {pod.redirection, pod.captured, pod.armed, pod.excluded, pod.attached},
                    in_force ? pod.excludes : "",
                    in_force ? pod.exclusion_problem : "the kernel's table of exclusions is full: some do not count",
                    pod.pre_mesh_problem});
  }
  announcer_->set_armed(guards_new_pods());
  announcer_->update(pods, enroller_->status());
}

// Whether the kernel has all of what this pod leaves out of the mesh.
bool Node::has_exclusions(const state::NodePod& pod) const {
  const auto& pods = kernel_->current().pods;
  const auto entry = pods.find(pod.uid.empty() ? pod.ns + "/" + pod.name : pod.uid);
  return entry == pods.end() || kernel_->has_exclusions_of(entry->second.pod_id);
}

base::Status Node::build() {
  TRY_ASSIGN(loop_, base::Loop::create(clock_));
  TRY_ASSIGN(signals_, Signals::create(*loop_, [this] { loop_->stop(); }));
  TRY(open_kernel());
  publish::PublisherOptions publisher;
  publisher.socket_path = options_.proxy_socket;
  publisher.allowed_users = options_.proxy_users;
  // Another user's proxy has to reach the socket; who it is, is asked of the kernel (SO_PEERCRED).
  if (!options_.proxy_users.empty()) publisher.socket_mode = 0666;
  TRY_ASSIGN(channel_, ChannelThread::create(clock_, *this, std::move(publisher)));
  certificates_ = std::make_unique<Certificates>(*loop_, channel_->publisher(), options_);
  TRY(certificates_->follow_roots(options_, clock_));
  TRY(open_enroller());
  TRY_ASSIGN(source_, Source::create(*loop_, options_, [this](const state::Build& build) { take(build); }));
  if (!options_.cni.socket.empty()) {
    TRY_ASSIGN(entrance_, PodEntrance::create(*loop_, options_, *source_, *enroller_));
  }
  TRY(open_announcer());
  timer_ = std::make_unique<base::Timer>(loop_->timers(), [this] { report(); });
  enroller_->on_change([this] {
    if (entrance_) entrance_->changed();
    report();
  });
  return {};
}

// Who leaves does so before its tables go, who comes does so after they are there; the proxy learns a
// Snapshot before the first connection that needs it can be captured.
base::Status Node::apply(const state::Build& build) {
  compile::Tables tables = compile::compile(*build.snapshot, ids_);
  for (const auto& problem : tables.problems) spdlog::warn("compile: {}", problem);
  std::vector<enrol::LocalTerms> terms;
  for (const auto& sandbox : build.sandboxes) terms.push_back({sandbox.netns, sandbox.pre_mesh});
  certificates_->want(*build.snapshot);
  channel_->publisher().publish(build.snapshot);
  enroller_->release_absent(enrol::desired_pods(*build.snapshot, terms, tables));
  const auto judged_anew = compile::judged_anew(kernel_->current(), tables);
  const base::Status synced = kernel_->sync(std::move(tables));
  // As the kernel has them: where its policy map is full, a pod's arrivals are left to the proxy.
  enroller_->enrol(enrol::desired_pods(*build.snapshot, terms, kernel_->current()));
  channel_->publisher().mark_synced();
  rejudge_->look_at(judged_anew);
  return synced;
}

void Node::take(const state::Build& build) {
  if (build.changed || build.sandboxes != sandboxes_ || snapshot_ == nullptr) {
    snapshot_ = build.snapshot;
    sandboxes_ = build.sandboxes;
    events_->set_snapshot(snapshot_);
    const base::Status applied = apply(build);
    last_sync_problem_ = applied ? "" : base::describe(applied.error());
    if (!applied) spdlog::error("kernel tables: {}", last_sync_problem_);
  }
  node_pods_ = build.node_pods;
  if (entrance_) entrance_->changed();
  report();
}

// The hooks pass by the agent and its proxies, which connect from the pods' namespaces. Proxies live on while agents
// change: one that has not come back to us yet is exempt as before, or its dials would be captured and come to it.
void Node::exempt_own_cgroups() {
  std::vector<kernel::Exempt> all;
  auto add = [&](pid_t pid, weft_exempt_reason reason) {
    auto directory = pid == getpid() ? tree_->own_directory() : tree_->directory_of(pid);
    if (directory) all.push_back({*directory, reason});
    if (!directory && ++counters_.exempt_failures)
      spdlog::error("exempt: {}", base::describe(directory.error()));
  };
  add(getpid(), WEFT_EXEMPT_AGENT);
  if (channel_ != nullptr)
    for (const auto& proxy : channel_->publisher().proxies()) add(proxy.pid, WEFT_EXEMPT_PROXY);
  std::set<std::string> wanted;
  for (const auto& one : all) wanted.insert(one.directory);
  const bool known = clock_.now() - started_ >= kProxiesReturn;
  if (wanted == exempt_ && known == proxies_known_) return;
  if (auto set = kernel_->set_exempt_cgroups(all, known); !set) {
    ++counters_.exempt_failures;
    spdlog::error("exempt: {}", base::describe(set.error()));
    return;
  }
  exempt_ = std::move(wanted);
  proxies_known_ = known;
}

void Node::on_proxy_ready(publish::ProxyId proxy) {
  // Exempt first: a proxy's own dial would otherwise be captured and come back to it.
  loop_->post([this, proxy] {
    exempt_own_cgroups();
    enroller_->on_proxy_ready(proxy);
  });
}

// A hook that is gone is a silent bypass: it is put back within one report's time, and counted.
void Node::repair_hooks() {
  const auto repaired = kernel_->repair_hooks();
  if (repaired && *repaired != 0) {
    spdlog::error("kernel: {} hooks were gone and are attached again", *repaired);
    enroller_->doubt_all(std::to_string(*repaired) + " hooks of the node were gone and are attached again: connections of "
                         "the meantime may have gone past the mesh");
  }
  const std::string problem = repaired ? "" : base::describe(repaired.error());
  if (problem != last_hook_problem_ && !problem.empty()) spdlog::error("kernel: {}", problem);
  last_hook_problem_ = problem;
}

void Node::report_exclusions(Report& report) {
  counters_.excluding_pods = counters_.refused_exclusions = counters_.refused_pre_mesh = 0;
  for (const auto& pod : node_pods_) {
    if (!pod.enrolled) continue;
    if (!pod.exclusion_problem.empty()) ++counters_.refused_exclusions;
    if (!pod.pre_mesh_problem.empty()) ++counters_.refused_pre_mesh;
    if (pod.excludes.empty() || !has_exclusions(pod)) continue;
    ++counters_.excluding_pods;
    const auto row = std::ranges::find(report.pods, pod.ns + "/" + pod.name, &PodReport::name);
    if (row != report.pods.end()) row->excluded = pod.excludes;
  }
}

void Node::report() {
  timer_->arm(kReportEvery);
  repair_hooks();
  if (!proxies_known_) exempt_own_cgroups();
  announce();
  Report report;
  report.role = "node";
  report.writer = options_.node;
  report.proxies = channel_->publisher().proxies();
  if (snapshot_ == nullptr) report.waiting_for.push_back("the first whole look at the objects");
  for (std::string& what : source_->waiting_for()) report.waiting_for.push_back(std::move(what));
  if (snapshot_ != nullptr) report.snapshot_version = snapshot_->version;
  bool taken = false;
  for (const auto& proxy : report.proxies) taken |= proxy.acked_version == report.snapshot_version;
  if (snapshot_ != nullptr && !taken)
    report.waiting_for.push_back("a proxy that has taken the newest snapshot");
  if (!last_sync_problem_.empty()) report.waiting_for.push_back("kernel tables: " + last_sync_problem_);
  if (!last_hook_problem_.empty()) report.waiting_for.push_back("kernel hooks: " + last_hook_problem_);
  add_pods(report, enroller_->status());
  report_exclusions(report);
  if (!enroller_->ready()) report.waiting_for.push_back("every enrolled pod to be captured");
  certificates_->describe(report);
  if (entrance_) entrance_->describe(report);
  if (announcer_) report.announced = describe(announcer_->counters(), *pod_statuses_);
  report.ready = report.waiting_for.empty();
  report.kernel = describe_kernel(*kernel_, *events_);
  report.kernel.set("podsCgroup", describe(place_.pods));
  report.kernel.set("kubeletCgroup", describe(place_.kubelet));
  counters_.status_failures = source_->status_failures();
  counters_.rejudged = rejudge_->counters();
  report.counters = describe_node(enroller_->metrics(), channel_->publisher().counters(), counters_);
  if (auto watch = source_->describe(); !watch.is_null()) report.counters.set("watch", std::move(watch));
  if (auto written = reports_.write(report); !written && ++counters_.report_failures)
    spdlog::warn("report: {}", base::describe(written.error()));
}

base::Status Node::run() {
  TRY(build());
  channel_->start();
  source_->start();
  if (entrance_) entrance_->start();
  report();
  spdlog::info("node {}: serving proxies on {}", options_.node, options_.proxy_socket);
  base::Watchdog watchdog;
  watchdog.watch("control", *loop_);
  watchdog.watch("publish", channel_->loop());
  watchdog.start();
  loop_->run();
  watchdog.stop();
  if (entrance_) entrance_->stop();
  source_->stop();
  channel_->stop();
  certificates_->stop();
  return {};
}

int end_with(const base::Status& status) {
  if (status) return 0;
  spdlog::critical("{}", base::describe(status.error()));
  return 1;
}

}  // namespace

int run_node(const Options& options) {
  Node node(options);
  return end_with(node.run());
}

int run_probe(const Options& options) {
  Options filled = options;
  // Any place in the hierarchy will do: nothing is attached.
  if (auto root = kernel::find_cgroup2(); root && filled.pods_cgroup.empty()) filled.pods_cgroup = *root;
  const auto lacks = kernel::preflight(kernel_options(filled));
  for (const auto& sentence : lacks) std::fprintf(stderr, "probe: %s\n", sentence.c_str());
  return lacks.empty() ? 0 : 1;
}

int run_uninstall(const Options& options) {
  // First no new pod is told to wait for us, then the running ones are let go.
  base::Status unchained;
  if (!options.cni.conf_dir.empty()) {
    unchained = cni::Keeper({.conf_dir = options.cni.conf_dir, .bin_dir = options.cni.bin_dir}).remove();
    if (!unchained) (void)end_with(unchained);
  }
  const int ended = end_with(kernel::uninstall(options.pin_root));
  return unchained ? ended : 1;
}

}  // namespace weft::agent
