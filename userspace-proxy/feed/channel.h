#pragma once
// The inside of Feed: one connection to the agent at a time, and what must be remembered between connections.
#include <sys/epoll.h>

#include <deque>
#include <map>
#include <set>
#include <string>

#include "userspace-proxy/base/seqpacket.h"
#include "userspace-proxy/feed/feed.h"

namespace weft::feed {

class Feed::Channel final : private base::IoHandler {
 public:
  Channel(base::Loop& loop, FeedEvents& events, FeedOptions options);
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void connect();
  void report_stock(const model::StockKey& key, uint32_t level, uint64_t taken);
  void send(const model::ToAgent& message);
  [[nodiscard]] base::Loop& loop() { return loop_; }
  [[nodiscard]] bool connected() const { return socket_.valid(); }
  [[nodiscard]] const FeedCounters& counters() const { return counters_; }

 private:
  void on_io(uint32_t events) override;
  void retry_later();
  void disconnect(const base::Error& why);

  // Both return an error when the connection is of no use any more.
  base::Status read_some();
  base::Status write_some();
  void flush();

  base::Status take(base::Packet packet);
  base::Status take(const model::SnapshotOffer& offer, std::vector<base::Fd>& fds);
  base::Status take(const model::ListenerOffer& offer, std::vector<base::Fd>& fds);
  base::Status take(const model::ListenerGone& gone, std::vector<base::Fd>& fds);
  base::Status take(const model::PodGone& gone, std::vector<base::Fd>& fds);
  base::Status take(const model::StockOffer& offer, std::vector<base::Fd>& fds);
  base::Status take(const model::StockTarget& target, std::vector<base::Fd>& fds);
  base::Status take(const model::LiveSettings& settings, std::vector<base::Fd>& fds);
  base::Status take(const model::Synced& synced, std::vector<base::Fd>& fds);
  base::Status take(const model::KeyWanted& wanted, std::vector<base::Fd>& fds);
  base::Status take(const model::CertificateOffer& offer, std::vector<base::Fd>& fds);
  base::Status take(const model::CertificateFailed& failed, std::vector<base::Fd>& fds);
  base::Status take(const model::IdentityGone& gone, std::vector<base::Fd>& fds);
  base::Status take(const model::TrustBundleOffer& offer, std::vector<base::Fd>& fds);
  void forget_pod(const model::PodKey& pod);

  base::Loop& loop_;
  FeedEvents& events_;
  const FeedOptions options_;
  FeedCounters counters_;

  base::Fd socket_;          // valid while connected
  bool want_write_ = false;  // EPOLLOUT is registered: the outbox waits for room
  std::deque<std::string> outbox_;
  std::map<model::StockKey, model::StockLevel> levels_;  // to be said after the outbox
  base::Millis next_retry_;
  base::Timer retry_;

  std::set<model::ListenerKey> listeners_;        // handed to events_ and not taken back
  std::set<model::PodKey> pods_;                  // with a listener or stock handed to events_
  std::set<model::ListenerKey> named_listeners_;  // of listeners_, sent over this connection
  std::set<model::PodKey> named_pods_;
  std::map<model::StockKey, uint32_t> received_;  // sockets that came over this connection
};

}  // namespace weft::feed
