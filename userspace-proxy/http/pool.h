#pragma once
// Connections to destinations, kept for the next request. One per worker.
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/connect/dialer.h"
#include "userspace-proxy/http/exchange.h"

namespace weft::http {

class ClientSession;
class H1ClientSession;
class H2ClientSession;

// Connections are shared by requests for which all of this is equal: nothing of one pod's traffic leaves on
// another's.
struct Target {
  std::string_view pod;
  base::SocketAddress destination;
  std::optional<base::SocketAddress> client;  // inbound delivery: its address, port 0
  bool http2 = false;
  std::optional<connect::PeerIdentity> identity;  // set: through a tunnel to whoever proves to be this
  bool operator==(const Target&) const = default;
};

struct PoolEntry;

// A request (HTTP/1) or several (HTTP/2) waiting for a dial. Owned by its entry; destroying it cancels the
// dial.
class Ticket final : public connect::DialHandler, public base::Retirable {
 public:
  Ticket(Core& core, PoolEntry& entry) : core_(core), entry_(entry) {}
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override;

 private:
  friend class Pool;
  Core& core_;
  PoolEntry& entry_;
  std::unique_ptr<connect::Dial> dial_;
  std::vector<Exchange*> waiters_;
};

struct PoolEntry {
  std::string pod, ns, service_account;  // what Target's views point to
  Target target;
  std::vector<std::unique_ptr<ClientSession>> sessions;  // all that live; a session knows its place
  std::vector<H1ClientSession*> idle;                    // the one used last is at the back
  std::vector<H2ClientSession*> shared;                  // HTTP/2, open for new streams
  std::vector<std::unique_ptr<Ticket>> tickets;
  uint32_t active = 0;  // requests running or waiting
};

// Idle HTTP/1 sessions are reused last in, first out; HTTP/2 sessions are multiplexed. Thread: the worker's.
class Pool {
 public:
  explicit Pool(Core& core);
  ~Pool();

  // Calls exchange.on_stream() before it returns, or later from the returned ticket (whose failure is
  // exchange.on_connect_failed()). Null: the stream was handed out, or the bound on connections is reached
  // and on_connect_failed() was called. `fresh` passes over idle connections.
  [[nodiscard]] Ticket* acquire(const Target& target, Exchange& exchange, bool fresh);
  void cancel(Ticket& ticket, Exchange& exchange);
  [[nodiscard]] uint32_t active(const Target& target) const;
  void drain();

  // From sessions.
  void released(H1ClientSession& session);   // idle again
  void full(H2ClientSession& session);       // takes no new stream for now or for ever
  void available(H2ClientSession& session);  // takes streams again
  void closed(ClientSession& session);
  void stream_over(PoolEntry& entry);

  // From tickets.
  void dialled(Ticket& ticket, std::unique_ptr<base::Transport> transport);
  void dial_failed(Ticket& ticket, const base::Error& error);

 private:
  struct Hash {
    size_t operator()(const Target& target) const noexcept;
  };
  PoolEntry& entry_of(const Target& target);
  void set_aside(PoolEntry& entry);
  void forget_if_unused(PoolEntry& entry);
  std::unique_ptr<Ticket> take(Ticket& ticket);
  void sweep();

  Core& core_;
  std::unordered_map<Target, std::unique_ptr<PoolEntry>, Hash> entries_;
  base::Timer sweeper_;
  bool draining_ = false;
};

}  // namespace weft::http
