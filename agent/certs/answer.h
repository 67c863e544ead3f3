#pragma once
// Is what the CA sent what was asked for? Pure. Rules: reference identity.md 1 and 3.
#include <expected>
#include <string>
#include <string_view>

#include "agent/certs/ca_client.h"
#include "agent/certs/roots.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/identity.h"

namespace weft::certs {

inline constexpr size_t kMostElements = 8;  // leaf, intermediates, roots: longer chains are nobody's wish

enum class Refusal : uint8_t {
  kUnreadable,        // an element that is not X.509, or too much of everything
  kNoRoot,            // no element with roots behind the leaf
  kNotOne,            // an element of the chain that is not exactly one certificate
  kOtherKey,          // the leaf is for another key than the one asked with
  kOtherIdentity,     // the leaf's URI SANs are not the identity asked for, alone
  kWrongUse,          // the leaf does not serve both ends of a connection
  kOutOfTime,         // not valid now, by this node's clock
  kUnknownAuthority,  // it leads to no root that is believed here: peers would refuse it
};
inline constexpr size_t kRefusals = 8;
[[nodiscard]] std::string_view name_of(Refusal refusal);  // "other_key", for counters

struct Refused {
  Refusal why = Refusal::kUnreadable;
  std::string what;  // a sentence
};

struct Certificate {
  std::string chain;  // PEM, leaf first, no root, nothing else
  base::WallTime not_before, not_after;
  RootsPtr roots;  // of the answer
};

// `anchors` null: the roots of the answer itself are what is believed.
[[nodiscard]] std::expected<Certificate, Refused> check_answer(const Answer& answer,
                                                               const model::SpiffeId& identity,
                                                               std::string_view request_der,
                                                               base::WallTime now, const Roots* anchors);

// Whether a chain that was taken earlier still leads to one of `roots`. REQUIRES: Certificate::chain.
[[nodiscard]] bool is_believed(const std::string& chain, const Roots& roots, base::WallTime now);

}  // namespace weft::certs
