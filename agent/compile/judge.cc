#include "agent/compile/judge.h"

#include <algorithm>

#include "bpf/decide/arrival.h"
#include "bpf/decide/exclude.h"
#include "bpf/decide/policy.h"

namespace weft::compile {
namespace {

constexpr uint32_t kReadFlags = WEFT_POD_STRICT | WEFT_POD_INBOUND_PROXY | WEFT_POD_HAS_ALLOW |
                                WEFT_POD_HAS_POLICY | WEFT_POD_HAS_PORT_MODES | WEFT_POD_TLS_SAME_NODE |
                                WEFT_POD_EXCLUDES_ARRIVALS;

// As the kernel's trie finds it: the longest entry that begins like `key`.
const weft_policy* find_entry(const Tables& tables, weft_policy_key key) {
  for (;; --key.prefix_length) {
    const uint32_t bits = key.prefix_length - WEFT_POLICY_FIXED_BITS;
    if (bits < 128) key.value.bytes[bits / 8] &= static_cast<uint8_t>(0xff00 >> (bits % 8));
    if (auto found = tables.policies.find(key); found != tables.policies.end()) return &found->second;
    if (key.subject != WEFT_SUBJECT_ADDRESS || bits == 0) return nullptr;
  }
}

// Whether the rules let it in; which one decided goes to `rule_id`.
bool ask_policy(const Tables& tables, const weft_pod& pod, const weft_party& party, uint32_t* rule_id) {
  if ((pod.flags & WEFT_POD_HAS_POLICY) == 0) return true;
  const bool has_allow = (pod.flags & WEFT_POD_HAS_ALLOW) != 0;
  for (uint32_t index = 0; index < weft_policy_keys(has_allow); ++index) {
    weft_policy_key key;
    if (!weft_policy_key_at(&party, index, &key)) continue;
    const weft_policy* rule = find_entry(tables, key);
    if (rule == nullptr) continue;
    *rule_id = rule->rule_id;
    return weft_policy_admits(index, has_allow);
  }
  return weft_policy_admits(WEFT_POLICY_KEYS, has_allow);
}

bool is_strict(const Tables& tables, const weft_pod& pod, uint16_t port) {
  if ((pod.flags & WEFT_POD_HAS_PORT_MODES) == 0) return weft_is_strict(&pod, nullptr);
  const auto mode = tables.port_modes.find({pod.pod_id, port, 0});
  return weft_is_strict(&pod, mode == tables.port_modes.end() ? nullptr : &mode->second);
}

bool excludes_arrival(const Tables& tables, const weft_pod& pod, const Caller& caller, uint16_t port) {
  if (!weft_may_exclude_arrival(&pod, port, caller.proof == WEFT_PROOF_PROBE)) return false;
  const weft_address& own = weft_is_v4(&caller.address) ? pod.ipv4 : pod.ipv6;
  weft_exclusion_key at_port, at_all;
  weft_exclusion_of_arrival(&own, port, &at_port);
  weft_exclusion_of_arrival(&own, 0, &at_all);
  return tables.exclusions.contains(at_port) || tables.exclusions.contains(at_all);
}

// Exclusions of arrivals of `from` that are not in `to`: the value says whose.
void note_exclusions(const Tables& from, const Tables& to, std::set<uint32_t>& pods) {
  for (const auto& [key, value] : from.exclusions)
    if (key.kind == WEFT_EXCLUDE_ARRIVAL && value.pod_id != 0 && !to.exclusions.contains(key)) pods.insert(value.pod_id);
}

template <typename Key, typename Value>
void note_changed(const Table<Key, Value>& from, const Table<Key, Value>& to, std::set<uint32_t>& pods) {
  for (const auto& [key, value] : from) {
    const auto there = to.find(key);
    if (there == to.end() || std::memcmp(&there->second, &value, sizeof value) != 0) pods.insert(key.pod_id);
  }
}

}  // namespace

Judgement judge_arrival(const Tables& tables, const weft_pod& pod, const Caller& caller, uint16_t port) {
  const weft_party party = {.pod_id = pod.pod_id,
                            .identity = caller.identity,
                            .namespace_id = caller.namespace_id,
                            .kinds = pod.policy_kinds,
                            .port = port,
                            .address = caller.address};
  if (excludes_arrival(tables, pod, caller, port)) return {.steer = WEFT_STEER_APP};
  weft_verdict verdict = weft_arrival_proof(&pod, port, caller.proof, is_strict(tables, pod, port));
  uint32_t rule_id = 0;
  if (verdict.action == WEFT_STEER_CONTINUE)
    verdict = weft_arrival_judge(&pod, caller.proof == WEFT_PROOF_POD, ask_policy(tables, pod, party, &rule_id));
  return {.steer = verdict.action, .counter = verdict.counter, .rule_id = rule_id};
}

std::set<uint32_t> judged_anew(const Tables& before, const Tables& after) {
  std::set<uint32_t> changed, both;
  note_changed(before.policies, after.policies, changed);
  note_changed(after.policies, before.policies, changed);
  note_changed(before.port_modes, after.port_modes, changed);
  note_changed(after.port_modes, before.port_modes, changed);
  note_exclusions(before, after, changed);
  note_exclusions(after, before, changed);
  for (const auto& [uid, pod] : after.pods) {
    const auto former = before.pods.find(uid);
    if (former == before.pods.end()) continue;
    const bool differs = ((former->second.flags ^ pod.flags) & kReadFlags) != 0;
    if (differs || changed.contains(pod.pod_id)) both.insert(pod.pod_id);
  }
  return both;
}

}  // namespace weft::compile
