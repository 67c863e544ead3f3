#pragma once
// Who the other side of a connection has proven to be, and what is needed to ask that again.
#include <string>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/openssl.h"
#include "userspace-proxy/tls/trust_bundle.h"

namespace weft::tls {

// Its certificates live in the worker's OpenSSL: it must not outlive the Contexts of its handshake.
struct PeerProof {
  model::SpiffeId id;
  bool resumed = false;
  bool weft = false;               // the other side told that it is weft, inside the handshake
  base::WallTime not_after;        // of the peer's leaf
  base::WallTime established;      // wall time of the handshake; of the full one when resumed
  uint64_t bundle_generation = 0;  // that it was verified under
  CertPtr leaf;
  std::vector<CertPtr> intermediates;  // as the peer sent them

  // Whether the peer's chain verifies against `bundle` at the time of establishment: for live connections when the
  // bundle shrinks (identity.md 5). Costs a signature check per certificate; any thread.
  [[nodiscard]] bool still_holds(const TrustBundle& bundle) const;
};

}  // namespace weft::tls
