#pragma once
// Why the CA refuses: a word for the counter, a sentence for the CA's own log. The caller learns neither.
#include <array>
#include <atomic>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"

namespace weft::ca {

enum class Reason : uint8_t {
  kNoToken,           // no bearer token in the request
  kTokenMalformed,    // no JWT, or beyond its bounds
  kTokenAlgorithm,    // signed by something other than ES256 or RS256
  kTokenKey,          // no key of that name
  kTokenSignature,
  kTokenIssuer,
  kTokenAudience,
  kTokenExpired,
  kTokenNotYetValid,
  kTokenClaims,       // does not say whom it speaks for
  kTokenRefused,      // by the API server that was asked
  kCluster,           // of a cluster that is not ours
  kCallerUnknown,     // the pod of the token is not there
  kCallerChanged,     // it is there with another uid, account or node
  kNotTrusted,        // asks for another's identity and is no node agent
  kIdentity,          // asks for what is no identity
  kTrustDomain,       // of another trust domain
  kNotOnNode,         // no such workload on the caller's node
  kRequestMalformed,  // the message, or the signing request in it
  kRequestKey,        // a key that is not certified
  kRequestSignature,  // the request is not signed by its own key
  kSigner,            // another signer was asked for
  kValidity,          // longer than allowed
  kNotReady,          // no signing certificate, or no look at the objects yet
};
inline constexpr size_t kReasons = 24;
[[nodiscard]] std::string_view name_of(Reason reason);  // "token_expired"

struct Refusal {
  Reason reason = Reason::kTokenMalformed;
  std::string what;
};
template <typename T>
using Judged = std::expected<T, Refusal>;

[[nodiscard]] inline std::unexpected<Refusal> refuse(Reason reason, std::string what) {
  return std::unexpected(Refusal{reason, std::move(what)});
}

// Refusals by reason. Any thread.
class RefusalCounters {
 public:
  void add(Reason reason) { counts_[static_cast<size_t>(reason)].fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t of(Reason reason) const { return counts_[static_cast<size_t>(reason)].load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kReasons> counts_{};
};

}  // namespace weft::ca
