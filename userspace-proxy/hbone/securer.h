#pragma once
// The one step between a TCP connection and an HTTP/2 session: mutual TLS. An interface, so that this room knows
// nothing of keys and its tests need none.
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/peer_proof.h"

namespace weft::hbone {

// A connection whose peer has proven who it is.
struct Secured {
  std::unique_ptr<base::Transport> transport;
  // What the peer has shown, for whoever judges it again when the trust bundle changes. Never null in production.
  std::shared_ptr<const tls::PeerProof> proof;
  // How long new streams may be opened on it: less than what is left of either certificate's life. Zero: no bound.
  base::Nanos max_age{0};
};

// Told once how a handshake ended, never from inside secure(). The Securing may be destroyed in here.
// Errors: kUntrusted when the peer did not prove one of the accepted identities or there is no certificate of ours
// for `own`; any other kind when TLS itself failed.
class SecureHandler {
 public:
  virtual ~SecureHandler() = default;
  virtual void on_secured(base::Result<Secured> outcome) = 0;
};

// A handshake under way. Destroying it cancels: the connection is closed, the handler is not called any more.
class Securing {
 public:
  virtual ~Securing() = default;
};

// Client side of mutual TLS. One per worker, used in its thread.
class Securer {
 public:
  virtual ~Securer() = default;
  // `handler` must outlive the Securing. Time is bounded by the caller, who destroys the Securing.
  // `peer` names the far end, for resumption.
  [[nodiscard]] virtual std::unique_ptr<Securing> secure(std::unique_ptr<base::Transport> tcp,
                                                         std::string_view peer, const model::SpiffeId& own,
                                                         std::span<const model::SpiffeId> accepted,
                                                         SecureHandler& handler) = 0;
};

}  // namespace weft::hbone
