#pragma once
// Layer-4 policy of a pod as both executors read it, the kernel's tables and the proxy's matcher. Source of the
// rules: Istio's PeerAuthentication and AuthorizationPolicy (reference identity.md 6 and 7).
#include <cstdint>
#include <string>
#include <vector>

#include "userspace-proxy/base/address.h"

namespace weft::model {

// `x`, `x*`, `*x`, `*` of a policy. Case matters. kPresent: anything that is not empty; its value is empty.
struct StringPattern {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kPresent };
  Kind kind = Kind::kExact;
  std::string value;
  auto operator<=>(const StringPattern&) const = default;
};

// AND over the kinds that say anything, OR within a list; of a `not_` list nothing may match. An anonymous peer
// misses every positive list of identities and passes every negative one. At least one list is not empty.
struct PolicyMatch {
  std::vector<StringPattern> principals, not_principals;       // identity without "spiffe://"
  std::vector<StringPattern> namespaces, not_namespaces;       // of the identity
  std::vector<std::string> service_accounts, not_service_accounts;  // "ns/sa", compared whole
  std::vector<base::Cidr> source_ranges, not_source_ranges;    // the peer's own address
  std::vector<base::Cidr> destination_ranges, not_destination_ranges;
  std::vector<uint16_t> ports, not_ports;                      // the application's
  auto operator<=>(const PolicyMatch&) const = default;
};

// OR over its matches; without any it is never true.
using PolicyClause = std::vector<PolicyMatch>;

// AND over its clauses; without any it is always true. Order of judging: a DENY rule that matches denies; without an
// ALLOW rule all others come in; an ALLOW rule that matches lets in; the rest is refused. Rules of a dry run never
// decide and do not count as ALLOW rules: what they would have done is reported.
struct PolicyRule {
  uint32_t id = 0;     // stable over restarts and nodes, named in refusals; never 0
  std::string source;  // "AuthorizationPolicy dev/web rules[0] (web.yaml:12)"
  bool deny = false;
  bool dry_run = false;
  std::vector<PolicyClause> clauses;
  auto operator<=>(const PolicyRule&) const = default;
};

enum class PeerMode : uint8_t { kPermissive, kStrict };

// What one port demands of its peers, instead of what the pod demands.
struct PortMode {
  uint16_t port = 0;
  PeerMode mode = PeerMode::kPermissive;
  std::string source;  // "PeerAuthentication dev/web portLevelMtls[8080] (web.yaml:3)"
  auto operator<=>(const PortMode&) const = default;
};

}  // namespace weft::model
