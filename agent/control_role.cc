#include "agent/control_role.h"

#include <sys/prctl.h>

#include "agent/ca/authority.h"
#include "agent/ca/files.h"
#include "agent/ca/jwks_authenticator.h"
#include "agent/ca/node_authorizer.h"
#include "agent/ca/service.h"
#include "agent/ca/token_review_authenticator.h"
#include "agent/leader.h"
#include "agent/mirror/control_mirror.h"
#include "agent/nodes/keeper.h"
#include "agent/report/report.h"
#include "agent/signals.h"
#include "agent/source.h"
#include "agent/state/api_status_writer.h"
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/watchdog.h"

namespace weft::agent {
namespace {

constexpr base::Millis kLookEvery{500};  // at the files, and for the report
constexpr std::chrono::hours kServerLife(24);

objects::Node number(uint64_t value) {
  return objects::Node::integer(static_cast<int64_t>(value));
}

void add_server(objects::Node& out, const grpc::ServerCounters& server) {
  out.set("connections", number(server.connections));
  out.set("connections_refused", number(server.connections_refused));
  out.set("connections_evicted", number(server.connections_evicted));
  out.set("handshake_failures", number(server.handshake_failures));
  out.set("protocol_errors", number(server.protocol_errors));
  out.set("floods", number(server.floods));
  out.set("timeouts", number(server.timeouts));
  out.set("calls", number(server.calls));
  out.set("calls_refused", number(server.calls_refused));
}

void add_statuses(objects::Node& out, const state::ApiStatusWriter& writer) {
  const state::ApiStatusCounters& statuses = writer.counters();
  out.set("statuses_written", number(statuses.written));
  out.set("statuses_unchanged", number(statuses.unchanged));
  out.set("statuses_waiting", number(writer.waiting()));
  out.set("status_conflicts", number(statuses.conflicts));
  out.set("status_objects_gone", number(statuses.gone));
  out.set("status_forbidden", number(statuses.forbidden));
  out.set("status_failures", number(statuses.failures));
}

void add_mirror(objects::Node& out, const mirror::ControlMirror& mirror, const kube::Reviews& reviews) {
  out.set("ca_secret_changes", number(mirror.counters().secret_changes));
  out.set("ca_secret_failures", number(mirror.counters().secret_failures));
  out.set("root_config_maps_written", number(mirror.counters().bundles_written));
  out.set("root_config_map_failures", number(mirror.counters().bundle_failures));
  out.set("token_reviews_asked", number(reviews.counters().asked));
  out.set("token_reviews_remembered", number(reviews.counters().cached));
  out.set("token_review_errors", number(reviews.counters().errors));
}

void add_nodes(objects::Node& out, const nodes::NodeKeeper& keeper) {
  const nodes::KeeperCounters& nodes = keeper.counters();
  out.set("nodes", number(nodes.nodes));
  out.set("nodes_capture_ready", number(nodes.nodes_ready));
  out.set("node_conditions_written", number(nodes.conditions_written));
  out.set("node_taints_removed", number(nodes.taints_removed));
  out.set("node_taints_added", number(nodes.taints_added));
  out.set("node_conflicts", number(nodes.conflicts));
  out.set("node_failures", number(nodes.failures));
}

// The certificate authority of the mesh. Objects enter by `source`, tokens and requests by `server`, certificates
// leave by it. One loop, plus the server's threads, which only read what the loop has set.
class Control {
 public:
  explicit Control(const ControlOptions& options)
      : options_(options),
        authorizer_({.node_accounts = {options.node_accounts.begin(), options.node_accounts.end()},
                     .trust_domain = options.common.trust_domain}),
        reports_(options.common.status_dir, writer()) {}

  base::Status run();

 private:
  [[nodiscard]] std::string writer() const { return options_.common.ns + "." + options_.common.pod; }
  base::Status build();
  base::Status open_cluster();
  base::Status open_source();
  [[nodiscard]] ca::Authenticator& authenticator();
  void take(const state::Build& build);
  void look();
  void renew_server(bool new_signer);
  void write_bundle();
  void report();

  const ControlOptions& options_;
  base::SystemClock clock_;
  std::unique_ptr<base::Loop> loop_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<ca::Authority> authority_;
  // Behind an API server: who leads, the CA's Secret and ConfigMaps, and who says whose a token is.
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<mirror::ControlMirror> mirror_;
  std::unique_ptr<nodes::NodeKeeper> nodes_;
  std::unique_ptr<kube::Reviews> reviews_;
  std::unique_ptr<ca::TokenReviewAuthenticator> asker_;
  std::unique_ptr<ca::JwksAuthenticator> keys_;  // behind a directory, in its place
  ca::NodeAuthorizer authorizer_;
  std::unique_ptr<ca::CertificateService> service_;
  std::unique_ptr<grpc::Server> server_;  // dies before what its handler uses
  std::unique_ptr<Source> source_;
  state::ApiStatusWriter* statuses_ = nullptr;  // the source's; behind an API server
  std::unique_ptr<base::Timer> timer_;
  ReportWriter reports_;
  base::WallTime renew_server_at_{};
  bool serving_ = false;
  uint64_t snapshot_version_ = 0;
  std::string bundle_;  // as last written out
  uint64_t server_renewals_ = 0, server_failures_ = 0, bundle_failures_ = 0, report_failures_ = 0;
  base::Status end_;  // why the loop was ended, if not by a signal
};

base::Status Control::build() {
  TRY_ASSIGN(loop_, base::Loop::create(clock_));
  TRY_ASSIGN(signals_, Signals::create(*loop_, [this] { loop_->stop(); }));
  if (behind_api_server(options_.common)) {
    TRY(open_cluster());
  } else {
    keys_ = std::make_unique<ca::JwksAuthenticator>(
        ca::JwksAuthenticator::Options{.file = options_.token_keys,
                                       .rules = {.issuer = options_.token_issuer, .audience = options_.token_audience},
                                       .cluster = options_.cluster},
        clock_);
  }
  TRY_ASSIGN(authority_, ca::Authority::open(options_.directory, options_.common.trust_domain, clock_.wall_now()));
  service_ = std::make_unique<ca::CertificateService>(*authority_, authenticator(), authorizer_, options_.validity, clock_);
  grpc::ServerOptions server;
  server.listen = options_.listen;
  server_ = std::make_unique<grpc::Server>(server);
  server_->handle(std::string(ca_wire::kCreateCertificate),
                  [this](const grpc::Request& request) { return service_->create(request); });
  renew_server(true);
  if (server_failures_ != 0) return base::fail(base::ErrorKind::kInvalid, "no certificate for the server: see --ca-name");
  TRY(open_source());
  timer_ = std::make_unique<base::Timer>(loop_->timers(), [this] { look(); });
  return {};
}

ca::Authenticator& Control::authenticator() {
  if (asker_) return *asker_;
  return *keys_;
}

// The directory of the CA is filled from its Secret before anybody signs.
base::Status Control::open_cluster() {
  TRY_ASSIGN(auto config, cluster_config(options_.common));
  TRY_ASSIGN(leader_, Leader::create(std::move(config), clock_, options_.common.ns, options_.common.pod));
  mirror::ControlMirrorOptions mirror;
  mirror.secret.ns = options_.common.ns;
  mirror.secret.replica = options_.common.pod;
  mirror.secret.directory = options_.directory;
  mirror.secret.trust_domain = options_.common.trust_domain;
  mirror_ = std::make_unique<mirror::ControlMirror>(leader_->client(), clock_, std::move(mirror),
                                                    [this] { return leader_->leads(); });
  TRY(mirror_->open());
  TRY_ASSIGN(config, cluster_config(options_.common));
  TRY_ASSIGN(nodes_, nodes::NodeKeeper::create(std::move(config), leader_->client(), clock_,
                                               {.taints = options_.node_taint, .ns = options_.common.ns},
                                               [this] { return leader_->leads(); }));
  reviews_ = std::make_unique<kube::Reviews>(leader_->client(), clock_);
  asker_ = std::make_unique<ca::TokenReviewAuthenticator>(
      ca::TokenReviewAuthenticator::Options{.audience = options_.token_audience, .cluster = options_.cluster}, *reviews_);
  return {};
}

// Behind an API server the leader among the replicas writes statuses into the objects.
base::Status Control::open_source() {
  std::unique_ptr<state::ApiStatusWriter> statuses;
  if (leader_) {
    statuses = std::make_unique<state::ApiStatusWriter>(
        leader_->client(), clock_, state::ApiStatusOptions{.leads = [this] { return leader_->leads(); }});
    statuses_ = statuses.get();
    leader_->on_change([this](bool leads) { statuses_->set_leading(leads); });
  }
  TRY_ASSIGN(source_, Source::create(*loop_, options_.common, [this](const state::Build& build) { take(build); },
                                     std::move(statuses)));
  return {};
}

// Half of its life is left when it is replaced; at once when the signer has changed.
void Control::renew_server(bool new_signer) {
  const base::WallTime now = clock_.wall_now();
  if (!new_signer && now < renew_server_at_) return;
  auto identity = ca::issue_server(*authority_->signer(), options_.names, kServerLife, now);
  auto taken = identity ? server_->set_certificate(identity->chain_pem, identity->key_pem)
                        : base::Status(std::unexpected(identity.error()));
  if (!taken) {
    ++server_failures_;
    renew_server_at_ = now + std::chrono::minutes(1);
    spdlog::error("the server's certificate stays as it is: {}", base::describe(taken.error()));
    return;
  }
  ++server_renewals_;
  renew_server_at_ = now + (identity->not_after - now) / 2;
}

void Control::write_bundle() {
  const std::string bundle = authority_->signer()->roots_pem;
  if (mirror_) mirror_->set_bundle(bundle);
  if (options_.bundle_out.empty()) return;
  if (bundle == bundle_) return;
  if (auto written = ca::write_file(options_.bundle_out, bundle, 0644); !written) {
    ++bundle_failures_;
    spdlog::error("trust bundle: {}", base::describe(written.error()));
    return;
  }
  bundle_ = bundle;
}

void Control::take(const state::Build& build) {
  if (build.changed) {
    snapshot_version_ = build.snapshot->version;
    authorizer_.set_snapshot(build.snapshot);
  }
  if (!serving_) {
    // Before the first whole look every node agent would be refused.
    end_ = server_->start();
    serving_ = end_.has_value();
    if (!serving_) return loop_->stop();
    spdlog::info("control {}: certificates at {}", writer(), server_->address().to_string());
  }
  report();
}

void Control::look() {
  timer_->arm(kLookEvery);
  renew_server(authority_->refresh(clock_.wall_now()));
  if (keys_) keys_->refresh();
  write_bundle();
  report();
}

void Control::report() {
  Report out;
  out.role = "control";
  out.writer = writer();
  out.snapshot_version = snapshot_version_;
  if (!serving_) out.waiting_for.push_back("the first whole look at the objects");
  for (std::string& what : source_->waiting_for()) out.waiting_for.push_back(std::move(what));
  if (keys_ && !keys_->problem().empty()) out.waiting_for.push_back("keys that prove tokens: " + keys_->problem());
  if (authority_->signer()->not_after <= clock_.wall_now()) out.waiting_for.push_back("a signing certificate that is valid");
  out.ready = out.waiting_for.empty();
  // The former files are in force: ready, but somebody has to look.
  if (!authority_->problem().empty()) out.waiting_for.push_back("CA files that hold together: " + authority_->problem());
  if (mirror_ && !mirror_->problem().empty())
    out.waiting_for.push_back("the API server to have the CA's Secret and roots: " + mirror_->problem());
  if (nodes_ && !nodes_->problem().empty())
    out.waiting_for.push_back("the API server to take the nodes' conditions: " + nodes_->problem());
  objects::Node counters = objects::Node::mapping();
  counters.set("certificates_issued", number(service_->issued()));
  for (size_t i = 0; i < ca::kReasons; ++i) {
    const auto reason = static_cast<ca::Reason>(i);
    counters.set("refused_" + std::string(ca::name_of(reason)), number(service_->refusals().of(reason)));
  }
  counters.set("refusals_unsaid", number(service_->unsaid()));
  counters.set("signer_generation", number(authority_->generation()));
  counters.set("signer_not_after", number(static_cast<uint64_t>(std::chrono::system_clock::to_time_t(
                                       std::chrono::time_point_cast<std::chrono::system_clock::duration>(authority_->signer()->not_after)))));
  counters.set("roots", number(authority_->signer()->roots));
  counters.set("ca_files_refused", number(authority_->refused()));
  if (keys_) counters.set("token_keys_refused", number(keys_->refused()));
  if (nodes_) add_nodes(counters, *nodes_);
  if (mirror_) add_mirror(counters, *mirror_, *reviews_);
  counters.set("server_renewals", number(server_renewals_));
  counters.set("server_failures", number(server_failures_));
  counters.set("bundle_failures", number(bundle_failures_));
  counters.set("report_failures", number(report_failures_));
  add_server(counters, server_->counters());
  if (statuses_) add_statuses(counters, *statuses_);
  if (leader_) counters.set("leader", leader_->describe());
  if (auto watch = source_->describe(); !watch.is_null()) counters.set("watch", std::move(watch));
  out.counters = std::move(counters);
  if (auto written = reports_.write(out); !written && ++report_failures_ == 1)
    spdlog::warn("report: {}", base::describe(written.error()));
}

base::Status Control::run() {
  TRY(build());
  source_->start();
  if (leader_) leader_->start();
  if (mirror_) mirror_->start();
  if (nodes_) nodes_->start();
  look();
  base::Watchdog watchdog;
  watchdog.watch("control", *loop_);
  watchdog.start();
  loop_->run();
  watchdog.stop();
  source_->stop();
  if (leader_) leader_->stop();  // and with it requests of the mirror
  if (mirror_) mirror_->stop();
  if (nodes_) nodes_->stop();
  server_->stop();
  return end_;
}

}  // namespace

int run_control(const ControlOptions& options) {
  base::init_log("weft-agent", options.common.log_level);
  // The signing key is control's alone: no look into its memory by others of its user, no core file.
  ::prctl(PR_SET_DUMPABLE, 0);
  Control control(options);
  const base::Status status = control.run();
  if (status) return 0;
  spdlog::critical("{}", base::describe(status.error()));
  return 1;
}

}  // namespace weft::agent
