#pragma once
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/hbone/securer.h"
#include "userspace-proxy/tls/handshake.h"

namespace weft::hbone {

// How long a tunnel may take new streams: nine tenths of what is left of the shorter-lived certificate, so that it
// ends gracefully before either expires. Never zero. `own` may be null. Both ends of a tunnel use it.
[[nodiscard]] base::Nanos tunnel_age(const tls::Credential* own, const tls::PeerProof& peer, base::WallTime now);

// The real thing: room tls. `contexts` outlives it. One per worker, in its thread.
class TlsSecurer final : public Securer {
 public:
  TlsSecurer(base::Loop& loop, tls::Contexts& contexts) : loop_(loop), contexts_(contexts) {}

  [[nodiscard]] std::unique_ptr<Securing> secure(std::unique_ptr<base::Transport> tcp, std::string_view peer,
                                                 const model::SpiffeId& own,
                                                 std::span<const model::SpiffeId> accepted,
                                                 SecureHandler& handler) override;

 private:
  class Step;
  base::Loop& loop_;
  tls::Contexts& contexts_;
};

}  // namespace weft::hbone
