#pragma once
// The deciding code of the kernel half over the tables that the agent compiled: what sk_lookup and connect would do,
// with the hooks' look-ups played by a few loops. Follows bpf/hooks/sk_lookup.bpf.c step by step.
#include <map>
#include <vector>

#include "agent/compile/compile.h"
#include "bpf/decide/arrival.h"
#include "bpf/decide/policy.h"

namespace weft::test {

class NativeKernel {
 public:
  explicit NativeKernel(const model::Snapshot& snapshot)
      : snapshot_(snapshot), tables_(compile::compile(snapshot, ids_)) {
    for (const auto& [key, rule] : tables_.policies)
      if (key.subject == WEFT_SUBJECT_ADDRESS) ranges_[key.pod_id].push_back(key);
  }

  // The steer of an arrival at a local pod. `source`: the workload that the record proves, or kNone.
  [[nodiscard]] uint32_t steer(const model::LocalPod& pod, uint32_t source, const base::Address& from,
                               uint16_t port) const {
    const weft_pod& entry = tables_.pods.at(compile::pod_key(snapshot_.workloads[pod.workload]));
    const weft_port_mode* mode = nullptr;
    if ((entry.flags & WEFT_POD_HAS_PORT_MODES) != 0) {
      const auto found = tables_.port_modes.find({entry.pod_id, port, 0});
      if (found != tables_.port_modes.end()) mode = &found->second;
    }
    const bool proven = source != model::kNone;
    weft_verdict verdict = weft_arrival_proof(&entry, port, proven ? WEFT_PROOF_POD : WEFT_PROOF_NONE,
                                              weft_is_strict(&entry, mode));
    if (verdict.action != WEFT_STEER_CONTINUE) return verdict.action;
    const bool asks = (entry.flags & WEFT_POD_HAS_POLICY) != 0;
    const bool admitted = !asks || admits(entry.pod_id, entry.policy_kinds, (entry.flags & WEFT_POD_HAS_ALLOW) != 0,
                                          source, from, port);
    return weft_arrival_judge(&entry, proven, admitted).action;
  }

  // Whether connect lets a pod of this node call that address.
  [[nodiscard]] bool connects(uint32_t source, const base::Address& from, const base::Address& to,
                              uint16_t port) const {
    const weft_workload& entry = tables_.workloads.at(address_of(to));
    if ((entry.flags & WEFT_WORKLOAD_HAS_POLICY) == 0) return true;
    return admits(entry.pod_id, entry.policy_kinds, (entry.flags & WEFT_WORKLOAD_HAS_ALLOW) != 0, source, from, port);
  }

 private:
  static weft_address address_of(const base::Address& address) {
    weft_address out;
    std::memcpy(out.bytes, address.bytes.data(), sizeof out.bytes);
    return out;
  }

  [[nodiscard]] bool admits(uint32_t pod_id, uint32_t kinds, bool has_allow, uint32_t source,
                            const base::Address& from, uint16_t port) const {
    weft_party party{.pod_id = pod_id, .kinds = kinds, .port = port, .address = address_of(from)};
    if (source != model::kNone) {
      const weft_pod& caller = tables_.pods.at(compile::pod_key(snapshot_.workloads[source]));
      party.identity = caller.identity;
      party.namespace_id = caller.namespace_id;
    }
    uint32_t index = 0;
    for (; index < weft_policy_keys(has_allow); ++index) {
      weft_policy_key key;
      if (weft_policy_key_at(&party, index, &key) && is_there(key)) return weft_policy_admits(index, has_allow);
    }
    return weft_policy_admits(WEFT_POLICY_KEYS, has_allow);
  }

  // The longest prefix is of no interest here, only whether there is one.
  [[nodiscard]] bool is_there(const weft_policy_key& key) const {
    if (key.subject != WEFT_SUBJECT_ADDRESS) return tables_.policies.contains(key);
    const auto ranges = ranges_.find(key.pod_id);
    if (ranges == ranges_.end()) return false;
    for (const weft_policy_key& range : ranges->second)
      if (range.action == key.action && range.port == key.port && covers(range, key)) return true;
    return false;
  }

  static bool covers(const weft_policy_key& range, const weft_policy_key& key) {
    for (uint32_t bit = WEFT_POLICY_FIXED_BITS; bit < range.prefix_length; ++bit) {
      const uint32_t at = bit - WEFT_POLICY_FIXED_BITS, shift = 7 - at % 8;
      if ((range.value.bytes[at / 8] >> shift & 1) != (key.value.bytes[at / 8] >> shift & 1)) return false;
    }
    return true;
  }

  const model::Snapshot& snapshot_;
  compile::Ids ids_;
  compile::Tables tables_;
  std::map<uint32_t, std::vector<weft_policy_key>> ranges_;  // by pod
};

}  // namespace weft::test
