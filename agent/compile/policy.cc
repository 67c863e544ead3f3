#include "agent/compile/policy.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace weft::compile {
namespace {

struct Subject {
  weft_subject kind = WEFT_SUBJECT_ANYONE;
  uint8_t bits = 0;  // of value
  weft_address value{};
};

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

bool in_namespaces(std::string_view service_account, const std::vector<std::string>& namespaces) {
  return std::ranges::any_of(namespaces, [&](const std::string& ns) {
    return service_account.size() > ns.size() && service_account.starts_with(ns) &&
           service_account[ns.size()] == '/';
  });
}

std::optional<std::vector<std::string>> exact_only(const std::vector<model::StringPattern>& patterns) {
  std::vector<std::string> out;
  for (const auto& pattern : patterns) {
    if (pattern.kind != model::StringPattern::Kind::kExact) return std::nullopt;
    out.push_back(pattern.value);
  }
  return out;
}

// Lists for which the kernel has no subject.
bool is_beyond_kernel(const model::PolicyMatch& m) {
  return !(m.principals.empty() && m.not_principals.empty() && m.not_namespaces.empty() &&
           m.not_service_accounts.empty() && m.not_source_ranges.empty() && m.destination_ranges.empty() &&
           m.not_destination_ranges.empty() && m.not_ports.empty());
}

// Who the match speaks of, as an OR of single subjects; nothing if only an AND of two kinds says it.
std::optional<std::vector<Subject>> subjects_of(const model::PolicyMatch& match, Ids& ids) {
  const auto namespaces = exact_only(match.namespaces);
  if (!namespaces || is_beyond_kernel(match)) return std::nullopt;
  const bool by_name = !namespaces->empty() || !match.service_accounts.empty();
  if (by_name && !match.source_ranges.empty()) return std::nullopt;
  std::vector<Subject> out;
  for (const auto& range : match.source_ranges)
    out.push_back({WEFT_SUBJECT_ADDRESS, std::min<uint8_t>(range.prefix_length, 128), range_value(range)});
  // Accounts AND namespaces: the accounts that live in one of them.
  for (const auto& account : match.service_accounts)
    if (namespaces->empty() || in_namespaces(account, *namespaces))
      out.push_back({WEFT_SUBJECT_IDENTITY, 32, number_value(ids.identity(account))});
  if (match.service_accounts.empty())
    for (const auto& ns : *namespaces)
      out.push_back({WEFT_SUBJECT_NAMESPACE, 32, number_value(ids.name_space(ns))});
  if (!by_name && match.source_ranges.empty()) out.push_back({});
  return out;
}

// Port 0 in a key means any port, so a rule that names port 0, which no connection has, must not become one.
std::vector<uint16_t> ports_of(const model::PolicyMatch& match) {
  if (match.ports.empty()) return {0};
  std::vector<uint16_t> out = match.ports;
  std::erase(out, 0);
  return out;
}

void add_entries(const model::PolicyRule& rule, const std::vector<Subject>& subjects,
                 const std::vector<uint16_t>& ports, uint32_t pod_id, PodPolicy& out) {
  for (const Subject& subject : subjects) {
    for (uint16_t port : ports) {
      if (out.entries.size() > kMaxPolicyEntriesPerPod) return;
      weft_policy_key key{};
      key.prefix_length = WEFT_POLICY_FIXED_BITS + subject.bits;
      key.pod_id = pod_id;
      key.action = rule.deny ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW;
      key.subject = subject.kind;
      key.port = port;
      key.value = subject.value;
      out.entries.emplace(key, weft_policy{rule.id});  // of two rules that say the same, the first is named
    }
  }
}

// False: the kernel cannot say it.
bool add_rule(const model::PolicyRule& rule, uint32_t pod_id, Ids& ids, PodPolicy& out) {
  if (rule.dry_run || rule.clauses.size() > 1) return false;
  if (rule.clauses.empty()) {
    add_entries(rule, {Subject{}}, {0}, pod_id, out);
    return true;
  }
  std::vector<std::vector<Subject>> subjects;
  for (const auto& match : rule.clauses[0]) {
    auto one = subjects_of(match, ids);
    if (!one) return false;
    subjects.push_back(std::move(*one));
  }
  for (size_t i = 0; i < subjects.size(); ++i)
    add_entries(rule, subjects[i], ports_of(rule.clauses[0][i]), pod_id, out);
  return true;
}

bool is_allow(const weft_policy_key& key) {
  return key.action == WEFT_ACTION_ALLOW;
}

}  // namespace

PodPolicy compile_policy(const model::Snapshot& snapshot, const model::LocalPod& pod, uint32_t pod_id,
                         Ids& ids) {
  PodPolicy out;
  bool any_allow = false, kernel_has_every_allow = true;
  for (const uint32_t index : pod.rules) {
    const auto& rule = snapshot.policy_rules[index];
    any_allow |= !rule.deny && !rule.dry_run;
    if (add_rule(rule, pod_id, ids, out)) continue;
    out.flags |= WEFT_POD_INBOUND_PROXY;
    kernel_has_every_allow &= rule.deny || rule.dry_run;
    out.problems.push_back(rule.source + ": the kernel cannot say it; the proxy judges it");
  }
  if (out.entries.size() > kMaxPolicyEntriesPerPod) {
    out.entries.clear();
    out.flags |= WEFT_POD_INBOUND_PROXY;
    out.problems.push_back("its rules need more than " + std::to_string(kMaxPolicyEntriesPerPod) +
                           " kernel entries; the proxy judges them");
    return out;
  }
  if (!kernel_has_every_allow)
    std::erase_if(out.entries, [](const auto& item) { return is_allow(item.first); });
  if (any_allow && kernel_has_every_allow) out.flags |= WEFT_POD_HAS_ALLOW;
  if (!out.entries.empty() || (out.flags & WEFT_POD_HAS_ALLOW) != 0) out.flags |= WEFT_POD_HAS_POLICY;
  return out;
}

}  // namespace weft::compile
