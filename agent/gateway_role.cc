#include "agent/gateway_role.h"

#include "agent/certificates.h"
#include "agent/channel_thread.h"
#include "agent/enrol/gateway_sockets.h"
#include "agent/report/report.h"
#include "agent/report_parts.h"
#include "agent/signals.h"
#include "agent/source.h"
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/watchdog.h"

namespace weft::agent {
namespace {

constexpr base::Millis kReportEvery{500};

// The gateway's agent: what enters by `source` leaves to the proxy by `channel`. One loop, plus the channel's
// thread.
class Gateway final : private publish::PublisherEvents {
 public:
  explicit Gateway(const Options& options)
      : options_(options), reports_(options.status_dir, options.ns + "." + options.pod) {}

  base::Status run();

 private:
  base::Status build();
  void take(const state::Build& build);
  void report();
  void end();
  void stop_if_alone();

  // From the channel's thread; the sockets take these from any thread.
  void on_proxy_ready(publish::ProxyId proxy) override { sockets_->on_proxy_ready(proxy); }
  void on_proxy_gone(publish::ProxyId proxy) override { sockets_->on_proxy_gone(proxy); }
  void on_stock_level(publish::ProxyId proxy, const model::StockLevel& level) override {
    sockets_->on_stock_level(proxy, level);
  }
  void on_verdict(publish::ProxyId, const model::Verdict& verdict) override {
    if (!verdict.refusal.empty())
      spdlog::error("the proxy refused snapshot {}: {}", verdict.version, verdict.refusal);
  }

  const Options& options_;
  base::SystemClock clock_;
  std::unique_ptr<base::Loop> loop_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<ChannelThread> channel_;
  std::unique_ptr<Certificates> certificates_;
  std::unique_ptr<enrol::GatewaySockets> sockets_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<base::Timer> timer_;
  RoleCounters counters_;
  ReportWriter reports_;
  model::SnapshotPtr snapshot_;
  std::optional<base::Instant> end_by_;  // set: it has been asked to end
};

base::Status Gateway::build() {
  TRY_ASSIGN(loop_, base::Loop::create(clock_));
  TRY_ASSIGN(signals_, Signals::create(*loop_, [this] { end(); }));
  publish::PublisherOptions publisher;
  publisher.socket_path = options_.proxy_socket;
  publisher.allowed_users = options_.proxy_users;
  // Another user's proxy has to reach the socket; who it is, is asked of the kernel (SO_PEERCRED).
  if (!options_.proxy_users.empty()) publisher.socket_mode = 0666;
  TRY_ASSIGN(channel_, ChannelThread::create(clock_, *this, std::move(publisher)));
  certificates_ = std::make_unique<Certificates>(*loop_, channel_->publisher(), options_);
  TRY(certificates_->follow_roots(options_, clock_));
  TRY_ASSIGN(sockets_, enrol::GatewaySockets::create(*loop_, channel_->publisher()));
  TRY_ASSIGN(source_, Source::create(*loop_, options_, [this](const state::Build& build) { take(build); }));
  timer_ = std::make_unique<base::Timer>(loop_->timers(), [this] { report(); });
  return {};
}

void Gateway::take(const state::Build& build) {
  if (build.changed) {
    snapshot_ = build.snapshot;
    // The listener follows the table it serves: a port never opens before its routes are known.
    certificates_->want(*build.snapshot);
    channel_->publisher().publish(build.snapshot);
    sockets_->apply(*build.snapshot);
    channel_->publisher().mark_synced();
  }
  report();
}

// The proxy of the pod is told to end in the same moment, and dials with sockets from here until it is through.
void Gateway::end() {
  if (!end_by_) end_by_ = clock_.now() + options_.drain;
  stop_if_alone();
}

void Gateway::stop_if_alone() {
  if (end_by_ && (clock_.now() >= *end_by_ || channel_->publisher().proxies().empty())) loop_->stop();
}

void Gateway::report() {
  stop_if_alone();
  timer_->arm(kReportEvery);
  Report report;
  report.role = "gateway";
  report.writer = options_.ns + "." + options_.pod;
  report.proxies = channel_->publisher().proxies();
  const auto problems = sockets_->problems();
  for (const auto& [port, why] : problems) report.waiting_for.push_back(why);
  source_->set_closed_ports(problems);
  if (snapshot_ == nullptr) {
    report.waiting_for.push_back("the first whole look at the objects");
    for (std::string& what : source_->waiting_for()) report.waiting_for.push_back(std::move(what));
  } else {
    report.snapshot_version = snapshot_->version;
    bool taken = false;
    for (const auto& proxy : report.proxies) taken |= proxy.acked_version == snapshot_->version;
    if (!taken) report.waiting_for.push_back("a proxy that has taken the newest snapshot");
  }
  certificates_->describe(report);
  report.ready = report.waiting_for.empty();
  counters_.status_failures = source_->status_failures();
  report.counters = describe_gateway(*sockets_, channel_->publisher().counters(), counters_);
  if (auto watch = source_->describe(); !watch.is_null()) report.counters.set("watch", std::move(watch));
  if (auto written = reports_.write(report); !written && ++counters_.report_failures)
    spdlog::warn("report: {}", base::describe(written.error()));
}

base::Status Gateway::run() {
  TRY(build());
  channel_->start();
  source_->start();
  report();
  spdlog::info("gateway {}/{}: serving proxies on {}", options_.ns, options_.pod, options_.proxy_socket);
  base::Watchdog watchdog;
  watchdog.watch("control", *loop_);
  watchdog.watch("publish", channel_->loop());
  watchdog.start();
  loop_->run();
  watchdog.stop();
  source_->stop();
  channel_->stop();
  certificates_->stop();
  return {};
}

}  // namespace

int run_gateway(const Options& options) {
  Gateway gateway(options);
  const base::Status status = gateway.run();
  if (status) return 0;
  spdlog::critical("{}", base::describe(status.error()));
  return 1;
}

}  // namespace weft::agent
