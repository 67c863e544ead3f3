#pragma once
// Makes the keys of this node's identities, one per identity and process, and turns signed chains into credentials.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/credential.h"

namespace weft::tls {

// Holds the keys whose certificates are still on their way; a finished one leaves as part of its Credential.
// Nothing here or elsewhere in the room writes a private key into bytes. Thread: main.
class KeyRing {
 public:
  static constexpr size_t kMaxPending = 1024;
  static constexpr size_t kMaxChain = 8;               // certificates
  static constexpr size_t kMaxChainBytes = 256u << 10;

  // Makes a fresh ECDSA P-256 key and its request: PKCS#10 in DER, empty subject, one critical URI SAN, SHA-256
  // (identity.md 3). Replaces a pending key of the identity with a lower id; kConflict for an id that is not newer,
  // kLimit when too many are pending.
  [[nodiscard]] base::Result<std::string> request(const model::SpiffeId& identity, uint64_t key_id);

  // The chain for that key, leaf first. Refused with a reason, and the key stays pending: an unknown or replaced key
  // id (kNotFound), a block that is not exactly one certificate, too many of them, another key, not exactly one URI
  // SAN or another identity in it, a usage missing, outside its validity at `now` (all kInvalid).
  [[nodiscard]] base::Result<CredentialPtr> accept(const model::SpiffeId& identity, uint64_t key_id,
                                                   std::string_view chain_pem, base::WallTime now);

  // No pod of this node has the identity any more: its pending key is destroyed.
  void forget(const model::SpiffeId& identity) { pending_.erase(identity); }
  void clear() { pending_.clear(); }
  [[nodiscard]] size_t pending() const { return pending_.size(); }

 private:
  struct Pending {
    uint64_t key_id = 0;
    KeyPtr key;
  };
  std::map<model::SpiffeId, Pending> pending_;
};

}  // namespace weft::tls
