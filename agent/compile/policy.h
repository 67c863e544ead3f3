#pragma once
// Layer-4 rules -> entries of the kernel's policy trie. Internal to compile/.
#include <string>
#include <vector>

#include "agent/compile/ids.h"
#include "agent/compile/tables.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::compile {

// Above this the proxy judges the pod's arrivals: one pod must not fill the trie of the node.
inline constexpr size_t kMaxPolicyEntriesPerPod = 4096;

struct PodPolicy {
  Table<weft_policy_key, weft_policy> entries;
  uint32_t flags = 0;                 // WEFT_POD_HAS_POLICY, _HAS_ALLOW, _INBOUND_PROXY
  std::vector<std::string> problems;  // why the proxy has to judge
};

// What the kernel can say, it says; when a rule goes beyond it, the pod gets WEFT_POD_INBOUND_PROXY, so that
// the proxy, which knows all rules, judges every arrival: DENY entries stay in the kernel, since what they
// match is refused either way; ALLOW entries stay only if the kernel has all of them, since it refuses what
// none matches.
[[nodiscard]] PodPolicy compile_policy(const model::Snapshot& snapshot, const model::LocalPod& pod,
                                       uint32_t pod_id, Ids& ids);

}  // namespace weft::compile
