#pragma once
// Certificates below a Signer (reference identity 2 step 4, and 3).
#include <chrono>
#include <string>
#include <vector>

#include "agent/ca/reason.h"
#include "agent/ca/signer.h"
#include "userspace-proxy/model/identity.h"

namespace weft::ca {

struct Validity {
  std::chrono::seconds standard{86'400};  // when the caller does not say
  std::chrono::seconds longest{86'400};   // more is refused, not shortened
};
// kValidity above the longest.
[[nodiscard]] Judged<std::chrono::seconds> validity_of(int64_t asked_seconds, const Validity& limits);

// The leaf of a workload, PEM: subject empty, one URI as critical alternative name, digitalSignature and
// keyEncipherment, serverAuth and clientAuth, from two minutes ago until `now + validity` or the signer's end.
// kNotReady when the signer has expired.
[[nodiscard]] Judged<std::string> issue_workload(const Signer& signer, const model::SpiffeId& identity,
                                                 EVP_PKEY& key, std::chrono::seconds validity, base::WallTime now);

struct ServerIdentity {
  std::string chain_pem, key_pem;  // leaf first, no root
  base::WallTime not_before{}, not_after{};
};
// A fresh key and its certificate for a server that answers to `names` (DNS names or addresses).
// kInvalid for a name that is neither.
[[nodiscard]] base::Result<ServerIdentity> issue_server(const Signer& signer, const std::vector<std::string>& names,
                                                        std::chrono::seconds validity, base::WallTime now);

}  // namespace weft::ca
