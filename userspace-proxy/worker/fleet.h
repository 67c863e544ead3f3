#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/feed/feed.h"
#include "userspace-proxy/observe/exposition.h"
#include "userspace-proxy/observe/log_writer.h"
#include "userspace-proxy/worker/identities.h"
#include "userspace-proxy/worker/ledger.h"
#include "userspace-proxy/worker/worker.h"

namespace weft::worker {

// What the status ports tell about the process. Written by the feed's thread, read by the status thread.
struct Health {
  std::atomic<bool> connected = false;  // to the agent
  std::atomic<bool> synced = false;     // everything has arrived at least once: ready
  std::atomic<bool> draining = false;
  std::atomic<uint64_t> snapshot_version = 0;
  std::atomic<uint64_t> workloads = 0, services = 0, clusters = 0, route_tables = 0, local_pods = 0,
                        gateway_listeners = 0;
  std::atomic<uint64_t> snapshots_taken = 0, snapshots_refused = 0, feed_disconnections = 0;
};

// All workers, fed: what the agent sends goes to each of them, what they report goes back. Owned by main,
// lives in the feed's loop; gather(), health() and enable_access_log() may be called from any thread.
class Fleet final : public feed::FeedEvents, private WorkerEvents, private IdentityOutlet {
 public:
  struct Options {
    uint32_t workers = 1;
    std::string agent_socket;
    std::string version;
    size_t max_connections = 100'000;  // per worker
  };

  static base::Result<std::unique_ptr<Fleet>> create(base::Loop& loop, const base::Clock& clock,
                                                     observe::LogWriter& log, const Options& options);
  ~Fleet() override;

  void start();
  // Graceful end, then stops `loop`.
  void drain(const Drain& how);

  [[nodiscard]] observe::Gathered gather();
  [[nodiscard]] const Health& health() const { return health_; }
  // Back once every worker has taken it, or has been silent for a second; for the status thread.
  void enable_access_log(bool on);

 private:
  Fleet(base::Loop& loop, const base::Clock& clock, observe::LogWriter& log, const Options& options);

  void on_snapshot(model::SnapshotPtr snapshot) override;
  void on_listener(const model::ListenerKey& key, base::Fd socket) override;
  void on_listener_gone(const model::ListenerKey& key) override;
  void on_pod_gone(const model::PodKey& pod) override;
  void on_stock(const model::StockKey& key, std::vector<base::Fd> sockets) override;
  void on_stock_target(const model::StockKey& key, uint32_t keep) override;
  void on_settings(const model::LiveSettings& settings) override;
  void on_key_wanted(const model::KeyWanted& wanted) override;
  void on_certificate(const model::CertificateOffer& offer, std::string_view pem) override;
  void on_certificate_failed(const model::CertificateFailed& failed) override;
  void on_identity_gone(const model::SpiffeId& identity) override;
  void on_trust_bundle(uint64_t generation, std::string_view pem) override;
  void on_connected() override;
  void on_synced() override;
  void on_disconnected(const base::Error& why) override;
  void on_stock_changes(uint32_t worker, std::vector<connect::StockChange> changes) override;
  void on_drained(uint32_t worker) override;
  void on_identity_needed(const model::SpiffeId& identity) override;
  void request_certificate(const model::CertificateRequest& request) override;
  void spread(const tls::CredentialPtr& credential) override;
  void spread(const tls::TrustBundlePtr& bundle) override;
  void spread_failure(const model::SpiffeId& identity, const std::string& reason) override;
  void withdraw(const model::SpiffeId& identity) override;

  void count_feed();
  void follow_settings();

  base::Loop& loop_;
  observe::LogWriter& log_;
  Options options_;
  Ledger ledger_;
  Identities identities_;
  Health health_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<feed::Feed> feed_;
  uint32_t drained_ = 0;
  bool snapshot_wants_log_ = false, live_wants_log_ = false, log_wanted_ = false;
};

}  // namespace weft::worker
