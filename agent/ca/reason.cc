#include "agent/ca/reason.h"

namespace weft::ca {

std::string_view name_of(Reason reason) {
  static constexpr std::array<std::string_view, kReasons> kNames = {
      "no_token",          "token_malformed", "token_algorithm",   "token_key",         "token_signature",
      "token_issuer",      "token_audience",  "token_expired",     "token_not_yet_valid", "token_claims",
      "token_refused",
      "cluster",           "caller_unknown",  "caller_changed",    "not_trusted",       "identity",
      "trust_domain",      "not_on_node",     "request_malformed", "request_key",       "request_signature",
      "signer",            "validity",        "not_ready"};
  static_assert(static_cast<size_t>(Reason::kNotReady) + 1 == kReasons);
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace weft::ca
