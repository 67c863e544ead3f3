#pragma once
// Istio's PeerAuthentication and AuthorizationPolicy (security.istio.io v1, v1beta1: one schema).
#include <cstdint>
#include <string>
#include <vector>

#include "agent/objects/object.h"
#include "userspace-proxy/base/address.h"

namespace weft::objects {

enum class MtlsMode : uint8_t { kUnset, kDisable, kPermissive, kStrict };

struct PortMtls {
  uint16_t port = 0;  // of the pod
  MtlsMode mode = MtlsMode::kUnset;
  Mark mark;
};

struct PeerAuthentication : Object {
  static constexpr Kind kKind = Kind::kPeerAuthentication;
  PeerAuthentication() : Object(kKind) {}
  Labels selector;  // empty: the namespace, or the mesh from the root namespace
  MtlsMode mode = MtlsMode::kUnset;
  std::vector<PortMtls> ports;  // ascending, each once
};

// One source, one operation or one condition. AND over the kinds, OR in a list, of a `not_` list nothing may match.
struct AuthorizationMatch {
  std::vector<std::string> principals, not_principals, namespaces, not_namespaces;  // "x", "x*", "*x", "*"
  std::vector<std::string> service_accounts, not_service_accounts;                  // "ns/account"
  std::vector<base::Cidr> source_ranges, not_source_ranges, destination_ranges, not_destination_ranges;
  std::vector<uint16_t> ports, not_ports;
  bool beyond = false;  // also asks for something that layer 4 cannot tell
};

// One of `from`, one of `to` and all of `when`; an empty list asks for nothing.
struct AuthorizationRule {
  std::vector<AuthorizationMatch> from, to, when;
  Mark mark;
};

struct AuthorizationPolicy : Object {
  enum class Action : uint8_t { kAllow, kDeny, kAudit, kCustom };
  static constexpr Kind kKind = Kind::kAuthorizationPolicy;
  AuthorizationPolicy() : Object(kKind) {}
  Labels selector;              // empty: the namespace, or the mesh from the root namespace
  bool has_targets = false;     // targetRefs: for a waypoint, not for pods
  Action action = Action::kAllow;
  bool dry_run = false;         // annotation istio.io/dry-run
  std::vector<AuthorizationRule> rules;  // OR; none: never matches
};

}  // namespace weft::objects
