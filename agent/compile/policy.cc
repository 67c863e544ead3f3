#include "agent/compile/policy.h"

#include <algorithm>

namespace weft::compile {
namespace {

weft_address number_value(uint32_t number) {
  weft_address value{};
  std::memcpy(value.bytes, &number, sizeof number);
  return value;
}

// Bits beyond the prefix are zero, so that equal ranges are equal keys.
weft_address range_value(const base::Cidr& range) {
  weft_address value{};
  for (unsigned i = 0; i < sizeof value.bytes; ++i) {
    const int bits = std::clamp(int{range.prefix_length} - static_cast<int>(i * 8), 0, 8);
    value.bytes[i] = range.address.bytes[i] & static_cast<uint8_t>(0xff00 >> bits);
  }
  return value;
}

void set_subject(const Term& term, Ids& ids, weft_policy_key& key) {
  switch (term.who) {
    case Who::kAnyone:
      key.subject = WEFT_SUBJECT_ANYONE;
      return;
    case Who::kAnonymous:
      key.subject = WEFT_SUBJECT_ANONYMOUS;
      return;
    case Who::kProven:
      key.subject = WEFT_SUBJECT_PROVEN;
      return;
    case Who::kNamespace:
      key.subject = WEFT_SUBJECT_NAMESPACE;
      key.prefix_length += 32;
      key.value = number_value(ids.name_space(term.name));
      return;
    case Who::kAccount:
      key.subject = WEFT_SUBJECT_IDENTITY;
      key.prefix_length += 32;
      key.value = number_value(ids.identity(term.name));
      return;
    case Who::kRange:
      key.subject = WEFT_SUBJECT_ADDRESS;
      key.prefix_length += std::min<uint32_t>(term.range.prefix_length, 128);
      key.value = range_value(term.range);
      return;
  }
}

bool is_allow(const weft_policy_key& key) {
  return key.action == WEFT_ACTION_ALLOW;
}

}  // namespace

PolicyCompiler::PolicyCompiler(const model::Snapshot& snapshot, Ids& ids)
    : snapshot_(snapshot), ids_(ids), known_(snapshot.policy_rules.size()) {}

const std::optional<Terms>& PolicyCompiler::terms(uint32_t rule, const model::LocalPod& pod) {
  const model::PolicyRule& source = snapshot_.policy_rules[rule];
  const std::string& domain = snapshot_.settings.trust_domain;
  Known& known = known_[rule];
  if (known.known) return known.terms;
  if (depends_on_destination(source)) {
    of_pod_ = terms_of(source, domain, snapshot_.workloads[pod.workload].addresses);
    return of_pod_;
  }
  known = {true, terms_of(source, domain, {})};
  return known.terms;
}

void PolicyCompiler::add_entries(const model::PolicyRule& rule, const Terms& terms, uint32_t pod_id,
                                 PodPolicy& out) {
  for (const Term& term : terms) {
    if (out.entries.size() > kMaxPolicyEntriesPerPod) return;
    weft_policy_key key{};
    key.prefix_length = WEFT_POLICY_FIXED_BITS;
    key.pod_id = pod_id;
    key.action = rule.deny ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW;
    key.port = term.port;
    set_subject(term, ids_, key);
    out.entries.emplace(key, weft_policy{rule.id});  // of two rules that say the same, the first is named
  }
}

void PolicyCompiler::add_modes(const model::LocalPod& pod, uint32_t pod_id, PodPolicy& out) {
  if (pod.peer_mode == model::PeerMode::kStrict) out.flags |= WEFT_POD_STRICT;
  if (pod.port_modes.size() > kMaxPortModesPerPod) {
    out.flags |= WEFT_POD_STRICT;
    out.problems.push_back("more than " + std::to_string(kMaxPortModesPerPod) +
                           " ports have a mode of their own; all of them are strict");
    return;
  }
  for (const model::PortMode& port : pod.port_modes) {
    const bool strict = port.mode == model::PeerMode::kStrict;
    out.port_modes.emplace(weft_port_key{pod_id, port.port, 0},
                           weft_port_mode{strict ? uint32_t{WEFT_PEERS_STRICT} : uint32_t{WEFT_PEERS_PERMISSIVE}});
    out.flags |= WEFT_POD_HAS_PORT_MODES;
  }
}

void PolicyCompiler::add_rules(const model::LocalPod& pod, uint32_t pod_id, PodPolicy& out) {
  bool any_allow = false, kernel_has_every_allow = true;
  for (const uint32_t index : pod.rules) {
    const model::PolicyRule& rule = snapshot_.policy_rules[index];
    if (rule.dry_run) {
      out.flags |= WEFT_POD_INBOUND_PROXY;
      out.problems.push_back(rule.source + ": a dry run; the proxy judges every arrival to tell what it would do");
      continue;
    }
    any_allow |= !rule.deny;
    if (const auto& all = terms(index, pod)) {
      add_entries(rule, *all, pod_id, out);
      continue;
    }
    out.flags |= WEFT_POD_INBOUND_PROXY;
    kernel_has_every_allow &= rule.deny;
    out.problems.push_back(rule.source + ": the kernel's tables cannot say it; the proxy judges every arrival");
  }
  if (out.entries.size() > kMaxPolicyEntriesPerPod) {
    out.entries.clear();
    out.flags |= WEFT_POD_INBOUND_PROXY;
    out.problems.push_back("its rules need more than " + std::to_string(kMaxPolicyEntriesPerPod) +
                           " kernel entries; the proxy judges them");
    return;
  }
  if (!kernel_has_every_allow)
    std::erase_if(out.entries, [](const auto& item) { return is_allow(item.first); });
  if (any_allow && kernel_has_every_allow) out.flags |= WEFT_POD_HAS_ALLOW;
  if (!out.entries.empty() || (out.flags & WEFT_POD_HAS_ALLOW) != 0) out.flags |= WEFT_POD_HAS_POLICY;
}

PodPolicy PolicyCompiler::compile(const model::LocalPod& pod, uint32_t pod_id) {
  PodPolicy out;
  add_modes(pod, pod_id, out);
  add_rules(pod, pod_id, out);
  return out;
}

}  // namespace weft::compile
