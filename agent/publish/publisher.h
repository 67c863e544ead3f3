#pragma once
// The agent's end of the control channel (userspace-proxy/model/channel.h). Proxies connect to it; each gets
// the newest Snapshot, every listener and, the newest proxy only, the stock.
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/publish/outlet.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/model/channel.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::publish {

using ProxyId = uint64_t;  // of one connection; grows, so the newest proxy has the greatest

// What the publisher tells enrol and status, always from its loop's thread.
class PublisherEvents {
 public:
  virtual ~PublisherEvents() = default;
  // A proxy has said hello: it is the one that gets stock from now on, and it has none.
  virtual void on_proxy_ready(ProxyId proxy) = 0;
  virtual void on_proxy_gone(ProxyId proxy) = 0;
  virtual void on_stock_level(ProxyId proxy, const model::StockLevel& report) = 0;
  // Empty refusal: taken.
  virtual void on_verdict(ProxyId proxy, const model::Verdict& verdict) = 0;
};

// What the publisher tells certs, always from its loop's thread.
class CertificateEvents {
 public:
  virtual ~CertificateEvents() = default;
  // A proxy has said hello, or is gone: it needs every identity, or none any more.
  virtual void on_keyless_proxy(ProxyId proxy) = 0;
  virtual void on_lost_proxy(ProxyId proxy) = 0;
  virtual void on_certificate_request(ProxyId proxy, const model::CertificateRequest& request) = 0;
  virtual void on_identity_needed(ProxyId proxy, const model::SpiffeId& identity) = 0;
};

struct PublisherOptions {
  std::string socket_path;
  mode_t socket_mode = 0660;
  gid_t socket_group = static_cast<gid_t>(-1);  // -1: as it comes
  std::vector<uid_t> allowed_users;             // peers' uids by SO_PEERCRED; beside them only our own
};

// For status: one connected proxy.
struct ProxyStatus {
  ProxyId id = 0;
  pid_t pid = 0;
  std::string version;
  uint32_t workers = 0;
  uint64_t acked_version = 0;    // the newest Snapshot it took
  uint64_t refused_version = 0;  // the newest it refused; 0: none
  std::string refusal;           // why
  bool operator==(const ProxyStatus&) const = default;
};

struct PublisherCounters {
  uint64_t proxies_accepted = 0, proxies_refused = 0, proxies_lost = 0, invalid_packets = 0;
  uint64_t snapshots_sent = 0, snapshots_taken = 0, snapshots_refused = 0, snapshots_unsendable = 0;
  uint64_t certificates_sent = 0, certificates_unsendable = 0;
  uint64_t stock_sockets_sent = 0, stock_sockets_unwanted = 0;
};

class ProxyLink;

// Owned by main; lives in the thread of `loop`. Public calls but listen() come from any thread and are done
// in the loop's thread, in order. It dies after the loop's last turn. `loop` and `events` outlive it.
class Publisher final : public Outlet, private base::IoHandler {
 public:
  Publisher(base::Loop& loop, PublisherEvents& events, PublisherOptions options);
  ~Publisher() override;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Opens the socket. Before the loop runs, or in its thread.
  base::Status listen();

  // The newest wins: a proxy that is still busy with one never sees those between.
  void publish(model::SnapshotPtr snapshot);
  void set_settings(const model::LiveSettings& settings);
  void add_listener(const model::ListenerKey& key, SharedFd socket) override;
  void remove_listener(const model::ListenerKey& key) override;
  void remove_pod(const model::PodKey& pod) override;
  void add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) override;
  void set_stock_target(const model::StockKey& key, uint32_t keep) override;
  // Before the loop runs; null: nobody here has certificates to give.
  void serve_certificates(CertificateEvents* events) { certificates_ = events; }
  // To one proxy; dropped when it is gone. PEM travels as sealed memory.
  void want_key(ProxyId proxy, const model::KeyWanted& wanted);
  void give_certificate(ProxyId proxy, const model::SpiffeId& identity, uint64_t key_id, std::string pem);
  void tell_failure(ProxyId proxy, const model::CertificateFailed& failed);
  void forget_identity(ProxyId proxy, const model::SpiffeId& identity);
  // To every proxy, now and later; the newest generation stays.
  void set_trust_bundle(uint64_t generation, std::string pem);
  // All pods that were enrolled before a restart are there again: proxies may drop what was not named to
  // them.
  void mark_synced();

  [[nodiscard]] std::vector<ProxyStatus> proxies() const;
  [[nodiscard]] PublisherCounters counters() const;

 private:
  friend class ProxyLink;
  void on_io(uint32_t events) override;
  [[nodiscard]] bool is_allowed(int socket, pid_t* pid) const;
  void offer_newest();
  void greet(ProxyLink& link);
  void forget(ProxyLink& link);
  [[nodiscard]] ProxyLink* newest() const;
  void update_status();
  void post(std::function<void()> task);
  void tell(ProxyId proxy, const model::ToProxy& message, std::vector<SharedFd> fds = {});

  base::Loop& loop_;
  PublisherEvents& events_;
  const PublisherOptions options_;
  base::Fd socket_;
  ProxyId last_id_ = 0;
  std::map<ProxyId, std::unique_ptr<ProxyLink>> links_;

  // What a new proxy gets.
  uint64_t version_ = 0;
  uint64_t snapshot_bytes_ = 0;
  SharedFd snapshot_memory_;  // null: nothing published yet
  std::map<model::ListenerKey, SharedFd> listeners_;
  model::LiveSettings settings_;
  bool synced_ = false;
  CertificateEvents* certificates_ = nullptr;
  model::TrustBundleOffer bundle_;
  SharedFd bundle_memory_;  // null: no trust bundle yet
  PublisherCounters counts_;

  mutable base::Mutex mutex_;
  model::SnapshotPtr waiting_ GUARDED_BY(mutex_);  // published, not encoded yet
  std::vector<ProxyStatus> status_ GUARDED_BY(mutex_);
  PublisherCounters counters_ GUARDED_BY(mutex_);
};

}  // namespace weft::publish
