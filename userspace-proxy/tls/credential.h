#pragma once
// What a workload of this node proves itself with. Immutable once made, handed to every worker.
#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

struct Credential {
  model::SpiffeId id;
  uint64_t key_id = 0;  // of the agent's KeyWanted
  KeyPtr key;           // never serialised: no function of this room writes a private key out
  CertPtr leaf;
  std::vector<CertPtr> intermediates;      // leaf's issuer first; never a root
  base::WallTime not_before, not_after;    // of the leaf
  std::string serial;                      // of the leaf, upper-case hex
};
using CredentialPtr = std::shared_ptr<const Credential>;

}  // namespace weft::tls
