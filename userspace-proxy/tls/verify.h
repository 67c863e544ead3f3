#pragma once
// The judgement on a peer's certificates: the chain, then who it is (hbone.md 4).
#include <array>
#include <optional>
#include <unordered_map>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

// Chains that verified under the trust bundle in force: the same bytes are not verified a second time, which saves
// a signature check per certificate and handshake. Whether a chain is within its validity is asked every time, and
// the possession of the key is proven in every full handshake. Bounded; emptied with every bundle. Thread: the worker's.
class KnownPeers {
 public:
  static constexpr size_t kMost = 4096;
  using Digest = std::array<unsigned char, 32>;
  struct Known {
    model::SpiffeId id;
    base::WallTime not_before, not_after;  // of the chain as a whole, root included
  };

  [[nodiscard]] const Known* find(const Digest& digest, base::WallTime now) const;
  void keep(const Digest& digest, Known known);
  void clear() { known_.clear(); }
  [[nodiscard]] size_t size() const { return known_.size(); }

 private:
  struct Hash {
    size_t operator()(const Digest& digest) const;
  };
  std::unordered_map<Digest, Known, Hash> known_;
};

// SSL_CTX_set_cert_verify_callback. Fills Connection::peer or Connection::untrusted.
int verify_peer(X509_STORE_CTX* store, void* unused);

}  // namespace weft::tls
