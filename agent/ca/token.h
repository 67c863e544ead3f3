#pragma once
// Service-account tokens (RFC 7519, Kubernetes' projected form), verified. Pure.
#include <chrono>
#include <string>
#include <string_view>

#include "agent/ca/authenticator.h"
#include "agent/ca/jwks.h"
#include "agent/ca/reason.h"
#include "userspace-proxy/base/clock.h"

namespace weft::ca {

inline constexpr size_t kMaxToken = 8 * 1024;         // bytes; Kubernetes' are about 1.2 KiB
inline constexpr std::chrono::seconds kTokenLeeway{10};  // between our clock and the issuer's

struct TokenRules {
  std::string issuer;
  std::string audience = "istio-ca";
};

// Whom the token speaks for. ES256 and RS256 alone, each with keys made for it: what the token says about its
// algorithm chooses among our keys, it never makes a key of one kind serve as one of another (RFC 8725 3.1).
[[nodiscard]] Judged<Caller> verify_token(std::string_view token, const KeySet& keys, const TokenRules& rules,
                                          base::WallTime now);
// Its second half: what claims that were signed by the right key are worth. Nothing here proves who signed them.
[[nodiscard]] Judged<Caller> judge_claims(std::string_view claims_json, const TokenRules& rules, base::WallTime now);

}  // namespace weft::ca
