#pragma once
// Who a workload is, as its certificate says it (SPIFFE-ID 2; Istio's form of the path).
#include <compare>
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"

namespace weft::model {

inline constexpr size_t kMaxIdentity = 2048;  // bytes of a SPIFFE id, SPIFFE-ID 2.3

// spiffe://<trust domain>/ns/<namespace>/sa/<service account>
struct SpiffeId {
  std::string trust_domain, ns, service_account;
  auto operator<=>(const SpiffeId&) const = default;

  // Exactly that form, compared byte by byte, nothing normalised. Refused with a reason: any other number of
  // pieces, an empty piece, '%', '?', '#', bytes outside printable ASCII, more than kMaxIdentity bytes.
  [[nodiscard]] static base::Result<SpiffeId> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

}  // namespace weft::model
