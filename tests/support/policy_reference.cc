#include "tests/support/policy_reference.h"

namespace weft::test {
namespace {

using model::StringPattern;

bool pattern_fits(const StringPattern& pattern, const std::string& text) {
  const std::string& value = pattern.value;
  if (pattern.kind == StringPattern::Kind::kPresent) return !text.empty();
  if (pattern.kind == StringPattern::Kind::kExact) return text == value;
  if (text.size() < value.size()) return false;
  const size_t at = pattern.kind == StringPattern::Kind::kPrefix ? 0 : text.size() - value.size();
  return text.compare(at, value.size(), value) == 0;
}

bool any_pattern(const std::vector<StringPattern>& list, const std::string& text) {
  for (const auto& pattern : list)
    if (pattern_fits(pattern, text)) return true;
  return false;
}

template <typename T>
bool contains(const std::vector<T>& list, const T& value) {
  for (const auto& one : list)
    if (one == value) return true;
  return false;
}

// Bit by bit.
bool in_range(const base::Cidr& range, const base::Address& address) {
  for (unsigned bit = 0; bit < range.prefix_length; ++bit) {
    const unsigned shift = 7 - bit % 8;
    if ((range.address.bytes[bit / 8] >> shift & 1) != (address.bytes[bit / 8] >> shift & 1)) return false;
  }
  return true;
}

bool in_ranges(const std::vector<base::Cidr>& list, const base::Address& address) {
  for (const auto& range : list)
    if (in_range(range, address)) return true;
  return false;
}

// "AND between kinds, OR inside a kind, and every negative list must miss"; "every positive identity kind is false,
// every negative identity kind is true" for an anonymous peer.
bool match_is_true(const model::PolicyMatch& m, const PolicyQuestion& q) {
  if (!m.source_ranges.empty() && !in_ranges(m.source_ranges, q.source)) return false;
  if (in_ranges(m.not_source_ranges, q.source)) return false;
  if (!m.destination_ranges.empty() && !in_ranges(m.destination_ranges, q.destination)) return false;
  if (in_ranges(m.not_destination_ranges, q.destination)) return false;
  if (!m.ports.empty() && !contains(m.ports, q.port)) return false;
  if (contains(m.not_ports, q.port)) return false;
  if (q.identity == nullptr) return m.principals.empty() && m.namespaces.empty() && m.service_accounts.empty();
  const std::string principal = q.identity->to_string().substr(std::string("spiffe://").size());
  const std::string account = q.identity->ns + "/" + q.identity->service_account;
  if (!m.principals.empty() && !any_pattern(m.principals, principal)) return false;
  if (any_pattern(m.not_principals, principal)) return false;
  if (!m.namespaces.empty() && !any_pattern(m.namespaces, q.identity->ns)) return false;
  if (any_pattern(m.not_namespaces, q.identity->ns)) return false;
  if (!m.service_accounts.empty() && !contains(m.service_accounts, account)) return false;
  return !contains(m.not_service_accounts, account);
}

bool rule_is_true(const model::PolicyRule& rule, const PolicyQuestion& question) {
  for (const auto& clause : rule.clauses) {
    bool any = false;
    for (const auto& match : clause) any = any || match_is_true(match, question);
    if (!any) return false;
  }
  return true;
}

// "1. any enforced DENY matches: deny. 2. no enforced ALLOW exists: allow. 3. any ALLOW matches: allow. 4. deny."
bool rules_allow(const model::Snapshot& snapshot, const model::LocalPod& pod, const PolicyQuestion& question,
                 bool with_dry_runs) {
  bool any_allow = false, allowed = false;
  for (const uint32_t index : pod.rules) {
    const auto& rule = snapshot.policy_rules.at(index);
    if (rule.dry_run && !with_dry_runs) continue;
    const bool is_true = rule_is_true(rule, question);
    if (rule.deny && is_true) return false;
    any_allow = any_allow || !rule.deny;
    allowed = allowed || (!rule.deny && is_true);
  }
  return !any_allow || allowed;
}

}  // namespace

PolicyAnswer reference_answer(const model::Snapshot& snapshot, const model::LocalPod& pod,
                              const PolicyQuestion& question) {
  model::PeerMode mode = pod.peer_mode;
  for (const auto& port : pod.port_modes)
    if (port.port == question.port) mode = port.mode;
  if (mode == model::PeerMode::kStrict && question.identity == nullptr) return {};
  PolicyAnswer out;
  out.allowed = rules_allow(snapshot, pod, question, false);
  out.would_deny = out.allowed && !rules_allow(snapshot, pod, question, true);
  return out;
}

}  // namespace weft::test
