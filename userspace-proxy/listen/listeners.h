#pragma once
#include <map>
#include <memory>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/listen/kind.h"
#include "userspace-proxy/observe/counters.h"

namespace weft::listen {

// Takes what the listeners accept. The socket is non-blocking.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void on_accepted(const model::ListenerKey& key, base::Fd socket,
                           const base::SocketAddress& peer) = 0;
};

// One worker's share of all listening sockets: every worker waits on every listener (EPOLLEXCLUSIVE wakes one
// of them), accepts a small batch and goes back to its connections. Owned by the worker, lives in its thread.
class Listeners {
 public:
  // Old sockets are served this long after their successor came, for handshakes that were under way.
  static constexpr base::Nanos kDrain = base::Millis(1000);
  static constexpr int kBatch = 16;

  Listeners(base::Loop& loop, observe::Counters& counters, Receiver& receiver);
  ~Listeners();

  // Serves `socket` from now on; one that was known under `key` is drained and closed. The same socket again
  // (after the agent has come back) changes nothing.
  base::Status set(const model::ListenerKey& key, base::Fd socket);
  void remove(const model::ListenerKey& key);
  void remove_pod(const model::PodKey& pod);
  // Stops accepting and closes our copies. What waits in the queues is left to whoever else holds the
  // sockets.
  void close_all();
  [[nodiscard]] size_t size() const { return serving_.size(); }

 private:
  class Listener;
  friend class Listener;
  void drain(std::unique_ptr<Listener> old);
  void retire(std::unique_ptr<Listener> listener);
  [[nodiscard]] bool shed(int listener_fd);

  base::Loop& loop_;
  observe::Counters& counters_;
  Receiver& receiver_;
  base::Fd reserve_;  // given up for a moment to shed a connection when descriptors have run out
  std::map<model::ListenerKey, std::unique_ptr<Listener>> serving_;
  std::map<Listener*, std::unique_ptr<Listener>> draining_;
};

}  // namespace weft::listen
