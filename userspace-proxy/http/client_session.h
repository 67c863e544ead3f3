#pragma once
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/http/core.h"

namespace weft::http {

struct PoolEntry;

// One connection to a destination. Owned by its pool entry; retired when it is closed. Thread: the worker's.
class ClientSession : public Session, public base::TransportHandler, public base::Retirable {
 public:
  ClientSession(Core& core, PoolEntry& entry, std::unique_ptr<base::Transport> transport)
      : core_(core), entry_(entry), transport_(std::move(transport)) {}
  // Begins to listen to the transport.
  [[nodiscard]] base::Status start() { return transport_->attach(core_.loop, this); }
  // Nothing runs on it.
  [[nodiscard]] virtual bool unused() const = 0;
  virtual void close() = 0;

  [[nodiscard]] PoolEntry& entry() { return entry_; }
  [[nodiscard]] base::Instant idle_since() const { return idle_since_; }
  // Good for those who have it or wait for it, and for nobody else: what carries it ends soon; or it was meant for a
  // tunnel and was made without one because an end left the mesh meanwhile (worker/tunnels.h).
  [[nodiscard]] bool not_for_others() const;
  size_t place = 0;  // in the entry's list

 protected:
  [[nodiscard]] base::SocketAddress local_address() const {
    if (transport_->raw_fd() < 0) return {};
    return base::local_address(transport_->raw_fd()).value_or(base::SocketAddress{});
  }
  Core& core_;
  PoolEntry& entry_;
  std::unique_ptr<base::Transport> transport_;
  base::Instant idle_since_;
};

}  // namespace weft::http
