#include "agent/source.h"

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/state/status_writer.h"
#include "userspace-proxy/base/log.h"

namespace weft::agent {
namespace {

// A cluster is never quiet: builds are at least this far apart, and take at most a fifth of a core. What counts is the time
// on a CPU: on a node that is busy with other things a build takes longer, and to rest longer as well would help nobody.
constexpr base::Nanos kShortestRest = base::Millis(10);
constexpr base::Nanos kLongestRest = std::chrono::seconds(2);
constexpr int kRestPerBuild = 4;
// After a build. A whole look, and what a cluster loses, leave free memory between what is kept: the allocator gives it back
// to the kernel only when asked, which takes some milliseconds.
constexpr base::Nanos kTidyAfter = std::chrono::seconds(5);

base::Nanos time_on_cpu() {
  timespec now{};
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

bool is_control(const Options& options) {
  return options.silent;
}

state::StateOptions state_options(const Options& options) {
  state::StateOptions out;
  out.role = options.role;
  out.node = options.node;
  out.ns = options.ns;
  out.pod = options.pod;
  out.settings.access_log = options.access_log;
  out.settings.cluster_domain = options.cluster_domain;
  out.same_node_tls = options.same_node_tls;
  out.settings.trust_domain = options.trust_domain;
  out.settings.mutual_tls = !options.ca.address.empty();
  out.netns_by_annotation = !behind_api_server(options);
  out.whole_cluster = behind_api_server(options) && is_control(options);
  return out;
}

std::string writer_of(const Options& options) {
  return options.role == model::Role::kNode ? options.node : options.ns + "." + options.pod;
}

// A finding is said once, when it comes; afterwards it is in the object's status.
void log_findings(const state::ObjectStatus& status) {
  for (const auto& finding : status.findings)
    spdlog::warn("{} {}/{}: {}", status.key.kind, status.key.ns, status.key.name,
                 objects::to_string(finding));
}

// Nobody else says it where no status is written: the last good configuration stays in force.
void log_snapshot_problem(const state::ObjectStatus& status) {
  if (status.key.kind != "Snapshot") return;
  for (const auto& condition : status.conditions)
    if (condition.status == "False") spdlog::error("snapshot: {}", condition.message);
}

objects::Node number(uint64_t value) {
  return objects::Node::integer(static_cast<int64_t>(value));
}

objects::Node describe_kind(const watch::KindStatus& kind) {
  objects::Node out = objects::Node::mapping();
  out.set("resource", objects::Node::string(kind.resource));
  out.set("phase", objects::Node::string(std::string(kube::name_of(kind.phase))));
  out.set("synced", objects::Node::boolean(kind.synced));
  out.set("objects", number(kind.objects));
  out.set("bytes", number(kind.bytes));
  out.set("listMs", number(kind.list_ms));
  if (!kind.why.empty()) out.set("why", objects::Node::string(kind.why));
  return out;
}

}  // namespace

base::Result<kube::Config> cluster_config(const Options& options) {
  base::Result<kube::Config> config =
      options.kubernetes ? kube::in_cluster() : kube::from_kubeconfig(options.kubeconfig);
  if (config) config->user_agent = "weft-agent";
  return config;
}

Source::Source(base::Loop& loop, const Options& options, OnBuild on_build)
    : loop_(loop),
      silent_(options.silent),
      state_(state_options(options)),
      on_build_(std::move(on_build)),
      pace_(std::make_unique<base::Timer>(loop.timers(), [this] { build(); })),
      tidy_(std::make_unique<base::Timer>(loop.timers(), [] { malloc_trim(0); })),
      rest_(kShortestRest) {}

Source::~Source() = default;

base::Result<std::unique_ptr<Source>> Source::create(base::Loop& loop, const Options& options, OnBuild on_build,
                                                     std::unique_ptr<state::StatusSink> statuses) {
  auto source = std::unique_ptr<Source>(new Source(loop, options, std::move(on_build)));
  source->statuses_ = std::move(statuses);
  if (behind_api_server(options)) {
    TRY(source->open_cluster(options));
  } else {
    TRY(source->open_directory(options));
  }
  return source;
}

base::Status Source::open_directory(const Options& options) {
  if (!statuses_ && !silent_) {
    TRY_ASSIGN(auto files, state::StatusWriter::open(options.status_dir, writer_of(options)));
    statuses_ = std::make_unique<state::StatusWriter>(std::move(files));
  }
  watch::WatchOptions watch_options;
  watch_options.root = options.manifests;
  TRY_ASSIGN(directory_,
             watch::DirectoryWatch::create(std::move(watch_options), loop_.clock(),
                                           [this](std::vector<watch::Event> events) { receive(std::move(events)); }));
  return {};
}

base::Status Source::open_cluster(const Options& options) {
  watch::ClusterWatchOptions watch_options;
  TRY_ASSIGN(watch_options.config, cluster_config(options));
  spdlog::info("objects come from {} ({})", watch_options.config.server, watch_options.config.origin);
  TRY_ASSIGN(cluster_,
             watch::ClusterWatch::create(std::move(watch_options), loop_.clock(),
                                         [this](std::vector<watch::Event> events) { receive(std::move(events)); }));
  return {};
}

void Source::start() {
  if (directory_) directory_->start();
  if (cluster_) cluster_->start();
}

void Source::stop() {
  if (directory_) directory_->stop();
  if (cluster_) cluster_->stop();
}

// The watch's thread. Bursts that come while the loop is busy are folded together.
void Source::receive(std::vector<watch::Event> events) {
  const base::MutexLock lock(mutex_);
  std::ranges::move(events, std::back_inserter(arrived_));
  if (std::exchange(posted_, true)) return;
  loop_.post([this] { take(); });
}

void Source::take() {
  std::vector<watch::Event> events;
  {
    const base::MutexLock lock(mutex_);
    events.swap(arrived_);
    posted_ = false;
  }
  state_.fold(events);
  // Half a look would un-enrol pods that are merely unread.
  if (!state_.synced()) return;
  // A directory's bursts have settled before they come.
  if (directory_) return build();
  if (!pace_->armed()) pace_->arm(rest_);
}

void Source::build() {
  const base::Nanos began = time_on_cpu();
  on_build_(write_statuses());
  const base::Nanos took = time_on_cpu() - began;
  if (!tidy_->armed()) tidy_->arm(kTidyAfter);
  rest_ = std::clamp<base::Nanos>(took * kRestPerBuild, kShortestRest, kLongestRest);
}

state::Build Source::write_statuses() {
  state::Build build = state_.build();
  for (const auto& status : build.statuses) log_snapshot_problem(status);
  if (!statuses_) return build;
  for (const auto& status : build.statuses) log_findings(status);
  if (auto written = statuses_->apply(build.statuses, build.removed); !written) {
    ++status_failures_;
    spdlog::warn("statuses: {}", base::describe(written.error()));
  }
  return build;
}

void Source::set_sandboxes(state::SandboxFacts facts) {
  state_.set_sandboxes(std::move(facts));
  if (state_.synced()) build();
}

void Source::set_closed_ports(state::ClosedPorts ports) {
  state_.set_closed_ports(std::move(ports));
  // Takes in nothing new: the Snapshot stays as it is.
  if (state_.synced() && directory_) (void)write_statuses();
}

std::vector<std::string> Source::waiting_for() const {
  std::vector<std::string> out;
  if (!cluster_) return out;
  for (const watch::KindStatus& kind : cluster_->status()) {
    const bool absent = kind.phase == kube::ReflectorPhase::kAbsent;
    if (!kind.synced && !absent)
      out.push_back("the first list of " + kind.resource + (kind.why.empty() ? "" : ": " + kind.why));
  }
  return out;
}

objects::Node Source::describe() const {
  if (!cluster_) return {};
  objects::Node kinds = objects::Node::sequence();
  for (const watch::KindStatus& kind : cluster_->status()) kinds.append(describe_kind(kind));
  const watch::ServedCounters& counters = cluster_->counters();
  objects::Node out = objects::Node::mapping();
  out.set("kinds", std::move(kinds));
  out.set("objects", number(counters.objects));
  out.set("taken", number(counters.taken));
  out.set("unchanged", number(counters.unchanged));
  out.set("refused", number(counters.refused));
  out.set("unreadable", number(counters.unreadable));
  out.set("events", number(counters.events));
  return out;
}

}  // namespace weft::agent
