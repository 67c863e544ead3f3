#include "userspace-proxy/worker/fleet.h"

#include <fcntl.h>

#include <iterator>

#include "userspace-proxy/base/log.h"

namespace weft::worker {
namespace {
constexpr base::Nanos kWorkerAnswers = base::Millis(1000);
}  // namespace

Fleet::Fleet(base::Loop& loop, const base::Clock& clock, observe::LogWriter& log, const Options& options)
    : loop_(loop),
      log_(log),
      options_(options),
      ledger_(options.workers),
      identities_(clock, static_cast<IdentityOutlet&>(*this)) {}

Fleet::~Fleet() {
  for (auto& worker : workers_) worker->stop();
}

base::Result<std::unique_ptr<Fleet>> Fleet::create(base::Loop& loop, const base::Clock& clock,
                                                   observe::LogWriter& log, const Options& options) {
  std::unique_ptr<Fleet> fleet(new Fleet(loop, clock, log, options));
  TRY_ASSIGN(const auto tickets, tls::TicketSecret::random());
  for (uint32_t i = 0; i < options.workers; ++i) {
    TRY_ASSIGN(auto worker,
               Worker::create(clock, log, *fleet,
                              {.index = i, .max_connections = options.max_connections, .tickets = tickets}));
    fleet->workers_.push_back(std::move(worker));
  }
  return fleet;
}

void Fleet::start() {
  for (auto& worker : workers_) worker->start();
  feed_ = std::make_unique<feed::Feed>(
      loop_, *this,
      feed::FeedOptions{
          .socket_path = options_.agent_socket, .version = options_.version, .workers = options_.workers});
  feed_->start();
}

void Fleet::drain(const Drain& how) {
  if (health_.draining.exchange(true)) return;
  for (auto& worker : workers_) worker->drain(how);
}

void Fleet::on_drained(uint32_t) {
  loop_.post([this] {
    if (++drained_ == workers_.size()) loop_.stop();
  });
}

// ---- from the agent

void Fleet::on_snapshot(model::SnapshotPtr snapshot) {
  const model::Snapshot& fresh = *snapshot;
  health_.workloads = fresh.workloads.size();
  health_.services = fresh.services.size();
  health_.clusters = fresh.clusters.size();
  health_.route_tables = fresh.route_tables.size();
  health_.local_pods = fresh.local_pods.size();
  health_.gateway_listeners = fresh.gateway_listeners.size();
  const auto config = Config::build(std::move(snapshot));
  for (const auto& problem : config->tables->problems())
    spdlog::warn("snapshot {}: {}", fresh.version, problem);
  for (auto& worker : workers_) worker->apply(config);
  snapshot_wants_log_ = fresh.settings.access_log;
  follow_settings();
  health_.snapshot_version = fresh.version;
  count_feed();
}

void Fleet::on_listener(const model::ListenerKey& key, base::Fd socket) {
  for (auto& worker : workers_) {
    base::Fd copy(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    if (copy)
      worker->set_listener(key, std::move(copy));
    else
      spdlog::error("listener of {}: no descriptor left", key.pod.name);
  }
}

void Fleet::on_listener_gone(const model::ListenerKey& key) {
  for (auto& worker : workers_) worker->remove_listener(key);
}

void Fleet::on_pod_gone(const model::PodKey& pod) {
  ledger_.drop(pod);
  for (auto& worker : workers_) worker->remove_pod(pod);
}

void Fleet::on_stock(const model::StockKey& key, std::vector<base::Fd> sockets) {
  const auto shares = ledger_.deal(key, sockets.size());
  auto next = sockets.begin();
  for (size_t i = 0; i < workers_.size(); ++i) {
    const auto end = next + static_cast<ptrdiff_t>(shares[i]);
    if (next != end)
      workers_[i]->add_stock(key, {std::make_move_iterator(next), std::make_move_iterator(end)});
    next = end;
  }
}

void Fleet::on_stock_target(const model::StockKey& key, uint32_t keep) {
  for (auto& worker : workers_) worker->trim_stock(key, (keep + workers_.size() - 1) / workers_.size());
}

void Fleet::on_settings(const model::LiveSettings& settings) {
  live_wants_log_ = settings.access_log;
  follow_settings();
}

// Only a change of what the agent wants overrides what an operator has switched by hand.
void Fleet::follow_settings() {
  const bool wanted = snapshot_wants_log_ || live_wants_log_;
  if (wanted == std::exchange(log_wanted_, wanted)) return;
  for (auto& worker : workers_) (void)worker->enable_access_log(wanted);
}

void Fleet::on_key_wanted(const model::KeyWanted& wanted) {
  identities_.on_key_wanted(wanted);
}

void Fleet::on_certificate(const model::CertificateOffer& offer, std::string_view pem) {
  identities_.on_certificate(offer, pem);
}

void Fleet::on_certificate_failed(const model::CertificateFailed& failed) {
  identities_.on_certificate_failed(failed);
}

void Fleet::on_identity_gone(const model::SpiffeId& identity) {
  identities_.on_identity_gone(identity);
}

void Fleet::on_trust_bundle(uint64_t generation, std::string_view pem) {
  identities_.on_trust_bundle(generation, pem);
}

void Fleet::request_certificate(const model::CertificateRequest& request) {
  if (feed_) feed_->request_certificate(request);
}

void Fleet::spread(const tls::CredentialPtr& credential) {
  for (auto& worker : workers_) worker->set_credential(credential);
}

void Fleet::spread(const tls::TrustBundlePtr& bundle) {
  for (auto& worker : workers_) worker->set_trust_bundle(bundle);
}

void Fleet::spread_failure(const model::SpiffeId& identity, const std::string& reason) {
  for (auto& worker : workers_) worker->fail_identity(identity, reason);
}

void Fleet::withdraw(const model::SpiffeId& identity) {
  for (auto& worker : workers_) worker->drop_identity(identity);
}

void Fleet::on_connected() {
  health_.connected = true;
  spdlog::info("connected to the agent");
}

void Fleet::on_synced() {
  health_.synced = true;
  count_feed();
}

void Fleet::on_disconnected(const base::Error& why) {
  if (health_.connected.exchange(false))
    spdlog::warn("the agent is away, everything stays as it is: {}", base::describe(why));
  count_feed();
}

void Fleet::count_feed() {
  if (!feed_) return;
  const auto& counters = feed_->counters();
  health_.snapshots_taken = counters.snapshots_taken;
  health_.snapshots_refused = counters.snapshots_refused;
  health_.feed_disconnections = counters.disconnections;
}

// ---- from the workers

void Fleet::on_stock_changes(uint32_t worker, std::vector<connect::StockChange> changes) {
  loop_.post([this, worker, changes = std::move(changes)] {
    if (!feed_) return;
    for (const auto& report : ledger_.change(worker, changes))
      feed_->report_stock(report.key, report.level, report.taken);
  });
}

void Fleet::on_identity_needed(const model::SpiffeId& identity) {
  loop_.post([this, identity] {
    if (feed_) feed_->need_identity(identity);
  });
}

// ---- from the status thread

void Fleet::enable_access_log(bool on) {
  std::vector<std::future<void>> taken;
  for (auto& worker : workers_) taken.push_back(worker->enable_access_log(on));
  // Who asked sees the very next connection in the log.
  for (auto& one : taken) (void)one.wait_for(kWorkerAnswers);
}

observe::Gathered Fleet::gather() {
  observe::Gathered gathered;
  std::vector<std::future<observe::Metrics::Copy>> copies;
  copies.reserve(workers_.size());
  for (auto& worker : workers_) copies.push_back(worker->copy_metrics());
  uint64_t silent = 0;
  for (auto& copy : copies) {
    // A worker that does not answer is worth a number of its own, not a scrape that hangs.
    if (copy.wait_for(kWorkerAnswers) == std::future_status::ready)
      gathered.workers.push_back(copy.get());
    else
      ++silent;
  }
  const auto gauge = [&](const char* name, const char* help, uint64_t value, bool counter = false) {
    gathered.process.push_back({name, help, static_cast<double>(value), counter});
  };
  gauge("weft_proxy_workers", "worker threads", workers_.size());
  gauge("weft_proxy_workers_silent", "workers that did not answer this scrape", silent);
  gauge("weft_proxy_agent_connected", "1 while the channel to the agent is open", health_.connected);
  gauge("weft_proxy_snapshot_version", "version of the configuration in force", health_.snapshot_version);
  gauge("weft_proxy_snapshots_taken_total", "configurations taken", health_.snapshots_taken, true);
  gauge("weft_proxy_snapshots_refused_total", "configurations refused as broken", health_.snapshots_refused,
        true);
  gauge("weft_proxy_agent_disconnections_total", "times the channel to the agent broke",
        health_.feed_disconnections, true);
  gauge("weft_proxy_access_log_chunks_lost_total", "access-log chunks lost while writing", log_.chunks_lost(),
        true);
  identities_.metrics(gathered.process);
  return gathered;
}

}  // namespace weft::worker
