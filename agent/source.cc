#include "agent/source.h"

#include "userspace-proxy/base/log.h"

namespace weft::agent {
namespace {

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

}  // namespace

Source::Source(base::Loop& loop, const Options& options, state::StatusWriter statuses, OnBuild on_build)
    : loop_(loop),
      silent_(options.silent),
      state_(state_options(options)),
      statuses_(std::move(statuses)),
      on_build_(std::move(on_build)) {}

Source::~Source() = default;

base::Result<std::unique_ptr<Source>> Source::create(base::Loop& loop, const Options& options,
                                                     OnBuild on_build) {
  TRY_ASSIGN(auto statuses, state::StatusWriter::open(options.status_dir, writer_of(options)));
  auto source = std::unique_ptr<Source>(new Source(loop, options, std::move(statuses), std::move(on_build)));
  watch::WatchOptions watch_options;
  watch_options.root = options.manifests;
  auto sink = [raw = source.get()](std::vector<watch::Event> events) {
    raw->loop_.post([raw, events = std::move(events)] { raw->take(events); });
  };
  TRY_ASSIGN(source->watch_,
             watch::DirectoryWatch::create(std::move(watch_options), loop.clock(), std::move(sink)));
  return source;
}

void Source::take(const std::vector<watch::Event>& events) {
  state_.fold(events);
  // Half a look would un-enrol pods that are merely unread.
  if (state_.synced()) on_build_(write_statuses());
}

state::Build Source::write_statuses() {
  state::Build build = state_.build();
  if (silent_) return build;
  for (const auto& status : build.statuses) log_findings(status);
  if (auto written = statuses_.apply(build.statuses, build.removed); !written) {
    ++status_failures_;
    spdlog::warn("statuses: {}", base::describe(written.error()));
  }
  return build;
}

void Source::set_closed_ports(state::ClosedPorts ports) {
  state_.set_closed_ports(std::move(ports));
  // Takes in nothing new: the Snapshot stays as it is.
  if (state_.synced()) (void)write_statuses();
}

}  // namespace weft::agent
