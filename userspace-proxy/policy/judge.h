#pragma once
#include <string>
#include <string_view>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::policy {

// Who arrives at a pod. Proven by TLS: `identity`, which goes before `proven`. Attested by the kernel: `proven`, with
// the mesh's own trust domain. Neither: an anonymous peer, which misses every positive list of identities and passes
// every negative one. All of it is borrowed for the call.
struct Peer {
  base::Address address;
  const model::Workload* proven = nullptr;
  base::Address destination;  // the pod's address that was called
  const model::SpiffeId* identity = nullptr;

  [[nodiscard]] bool is_proven() const { return proven != nullptr || identity != nullptr; }
};

// Its pointers lead into the Snapshot that was judged by.
struct Verdict {
  enum class Reason : uint8_t {
    kNoRules,          // allowed: no rule of the pod decides anything
    kAllowed,          // an ALLOW rule matches, or there are only DENY rules and none matches
    kDenied,           // a DENY rule matches
    kNotAllowed,       // ALLOW rules exist and none matches
    kStrictAnonymous,  // the pod, or this port, wants proven peers only
  };
  Reason reason = Reason::kNoRules;
  // kDenied and kAllowed: the rule that matched, null if none had to. kNotAllowed: the first of those that did not.
  const model::PolicyRule* rule = nullptr;
  std::string_view mode_source;  // kStrictAnonymous: who asked for it; may be empty

  // What enforcing the rules of dry runs would have made of a connection that is allowed.
  bool would_deny = false;
  const model::PolicyRule* dry_run = nullptr;  // the DENY rule that matched, or the first ALLOW rule that did not

  [[nodiscard]] bool allows() const { return reason == Reason::kNoRules || reason == Reason::kAllowed; }
};

// For the record of a refusal: "rule 17 (AuthorizationPolicy dev/deny rules[0] (deny.yaml:3))", "no ALLOW rule
// matches, the first is rule 4 (...)".
[[nodiscard]] std::string describe(const Verdict& verdict);

}  // namespace weft::policy
