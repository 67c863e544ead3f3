#pragma once
// Layer-4 policy of a pod -> entries of the kernel's tables. Internal to compile/.
#include <optional>
#include <string>
#include <vector>

#include "agent/compile/ids.h"
#include "agent/compile/tables.h"
#include "agent/compile/terms.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::compile {

// Above these the proxy judges the pod's arrivals, or the pod is strict on every port: one pod must not fill the
// tables of the node.
inline constexpr size_t kMaxPolicyEntriesPerPod = 4096;
inline constexpr size_t kMaxPortModesPerPod = 256;

struct PodPolicy {
  Table<weft_policy_key, weft_policy> entries;
  Table<weft_port_key, weft_port_mode> port_modes;
  uint32_t flags = 0;  // WEFT_POD_STRICT, _HAS_PORT_MODES, _HAS_POLICY, _HAS_ALLOW, _INBOUND_PROXY
  std::vector<std::string> problems;  // why the proxy has to judge
};

// What the kernel can say, it says; when a rule goes beyond it, the pod gets WEFT_POD_INBOUND_PROXY, so that
// the proxy, which knows all rules, judges every arrival: DENY entries stay in the kernel, since what they
// match is refused either way; ALLOW entries stay only if the kernel has all of them, since it refuses what
// none matches. Rules of a dry run are for the proxy too: the kernel only acts, it cannot tell what it would have done.
//
// One compile run over one Snapshot, which has to outlive it.
class PolicyCompiler {
 public:
  PolicyCompiler(const model::Snapshot& snapshot, Ids& ids);
  [[nodiscard]] PodPolicy compile(const model::LocalPod& pod, uint32_t pod_id);

 private:
  // Most rules are the same for every pod they judge.
  struct Known {
    bool known = false;
    std::optional<Terms> terms;
  };
  const std::optional<Terms>& terms(uint32_t rule, const model::LocalPod& pod);
  void add_entries(const model::PolicyRule& rule, const Terms& terms, uint32_t pod_id, PodPolicy& out);
  void add_rules(const model::LocalPod& pod, uint32_t pod_id, PodPolicy& out);
  static void add_modes(const model::LocalPod& pod, uint32_t pod_id, PodPolicy& out);

  const model::Snapshot& snapshot_;
  Ids& ids_;
  std::vector<Known> known_;        // by rule
  std::optional<Terms> of_pod_;     // of the rule asked last, where it depends on the pod
};

}  // namespace weft::compile
