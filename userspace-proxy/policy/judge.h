#pragma once
#include <string>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::policy {

// Who arrives at a pod. `proven` is the workload whose identity is proven (attested by the kernel or by TLS);
// null is an anonymous peer, which misses every positive list of identities and passes every negative one.
struct Peer {
  base::Address address;
  const model::Workload* proven = nullptr;
  base::Address destination;  // the pod's address that was called
};

struct Verdict {
  enum class Reason : uint8_t {
    kNoRules,          // allowed: the pod has no rule
    kAllowed,          // an ALLOW rule matches, or there are only DENY rules and none matches
    kDenied,           // a DENY rule matches
    kNotAllowed,       // ALLOW rules exist and none matches
    kStrictAnonymous,  // the pod wants proven peers only
  };
  Reason reason = Reason::kNoRules;
  const model::PolicyRule* rule = nullptr;  // the rule that decided, into the Snapshot; null when none did

  [[nodiscard]] bool allows() const { return reason == Reason::kNoRules || reason == Reason::kAllowed; }
};

// Pure. The same order as the kernel half: strict mode, then DENY, then ALLOW.
[[nodiscard]] Verdict judge(const model::Snapshot& snapshot, const model::LocalPod& pod, const Peer& peer,
                            uint16_t port);

// For the record of a refusal: "rule 17 (AuthorizationPolicy dev/deny rules[0])", "no ALLOW rule matches".
[[nodiscard]] std::string describe(const Verdict& verdict);

}  // namespace weft::policy
