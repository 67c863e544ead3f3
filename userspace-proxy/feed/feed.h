#pragma once
// The proxy's end of the control channel (model/channel.h): Snapshots and sockets in, verdicts and stock
// levels out.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/model/channel.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::feed {

// What the feed tells its owner, always from the loop's thread. Everything that was handed over stays in
// force while the agent is away; after a reconnection the agent sends all of it again.
class FeedEvents {
 public:
  virtual ~FeedEvents() = default;
  // A whole, validated Snapshot; the one before stays in force for the connections that pinned it.
  virtual void on_snapshot(model::SnapshotPtr snapshot) = 0;
  // A listening, non-blocking socket. One that arrives under a known key replaces the old one: serve the new
  // one, and accept what is left in the old one's queue before closing it (both may be the same socket).
  virtual void on_listener(const model::ListenerKey& key, base::Fd socket) = 0;
  virtual void on_listener_gone(const model::ListenerKey& key) = 0;
  // Close the pod's listeners and stock. Established connections go on.
  virtual void on_pod_gone(const model::PodKey& pod) = 0;
  // Unconnected, non-blocking sockets to be added to the pod's stock.
  virtual void on_stock(const model::StockKey& key, std::vector<base::Fd> sockets) = 0;
  // The stock of `key` has shrunk: close what is beyond `keep`.
  virtual void on_stock_target(const model::StockKey& key, uint32_t keep) = 0;
  virtual void on_settings(const model::LiveSettings& settings) = 0;
  // Make a key and answer with request_certificate(); every identity is named again after a reconnection.
  // Empty for whoever has no use for certificates.
  virtual void on_key_wanted(const model::KeyWanted&) {}
  virtual void on_certificate(const model::CertificateOffer&, std::string_view /*pem*/) {}
  virtual void on_certificate_failed(const model::CertificateFailed&) {}
  virtual void on_identity_gone(const model::SpiffeId&) {}
  virtual void on_trust_bundle(uint64_t /*generation*/, std::string_view /*pem*/) {}
  virtual void on_connected() = 0;
  // The agent has sent everything it has. Pods it did not name any more were reported by on_pod_gone before.
  virtual void on_synced() = 0;
  virtual void on_disconnected(const base::Error& why) = 0;
};

struct FeedOptions {
  std::string socket_path;
  std::string version;  // of this program, for the agent's status
  uint32_t workers = 0;
  base::Millis first_retry{50};  // doubles up to last_retry
  // An agent that is replaced is away for about two seconds, and the stock of sockets may last no longer.
  base::Millis last_retry{250};
};

// Plain fields, written by the feed's thread only.
struct FeedCounters {
  uint64_t connections = 0, connection_failures = 0, disconnections = 0;
  uint64_t snapshots_taken = 0, snapshots_refused = 0, invalid_packets = 0;
  uint64_t listeners = 0, stock_sockets = 0;
};

// Keeps the channel to the agent open. Owned by main or a worker; lives in the thread of `loop`, and so do
// all calls but report_stock(). `events` and `loop` outlive it.
class Feed {
 public:
  Feed(base::Loop& loop, FeedEvents& events, FeedOptions options);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // Begins to connect, and to re-connect for ever.
  void start();
  // From any thread: the pools hold `level` sockets of `key`, `taken` were used since the last report.
  // Report when a pool falls under half of its last high water, and once a second while it changes.
  void report_stock(const model::StockKey& key, uint32_t level, uint64_t taken);
  // Both from the loop's thread; dropped while the agent is away, which asks again when it is back.
  void request_certificate(const model::CertificateRequest& request);
  void need_identity(const model::SpiffeId& identity);

  [[nodiscard]] bool connected() const;
  [[nodiscard]] const FeedCounters& counters() const;

 private:
  class Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace weft::feed
