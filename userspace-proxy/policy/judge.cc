#include "userspace-proxy/policy/judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::policy {
namespace {

bool fits(const model::StringPattern& pattern, std::string_view text) {
  switch (pattern.kind) {
    case model::StringPattern::Kind::kExact:
      return text == pattern.value;
    case model::StringPattern::Kind::kPrefix:
      return text.starts_with(pattern.value);
    case model::StringPattern::Kind::kSuffix:
      return text.ends_with(pattern.value);
    case model::StringPattern::Kind::kPresent:
      return !text.empty();
  }
  return false;
}

struct Party {
  bool proven = false;
  std::string principal, ns, account;
  base::Address source, destination;
  uint16_t port = 0;
};

// Both lists of one kind. `is` says whether one entry is the party's.
template <typename Entry, typename Is>
bool kind_admits(const std::vector<Entry>& positive, const std::vector<Entry>& negative, Is is) {
  if (!positive.empty() && std::ranges::none_of(positive, is)) return false;
  return std::ranges::none_of(negative, is);
}

bool matches(const model::PolicyMatch& match, const Party& party) {
  const auto is = [&](const std::string& text) {
    return [&](const model::StringPattern& pattern) { return party.proven && fits(pattern, text); };
  };
  const auto is_account = [&](const std::string& account) { return party.proven && account == party.account; };
  const auto in = [](const base::Address& address) {
    return [&](const base::Cidr& range) { return range.contains(address); };
  };
  const auto is_port = [&](uint16_t port) { return port == party.port; };
  return kind_admits(match.ports, match.not_ports, is_port) &&
         kind_admits(match.source_ranges, match.not_source_ranges, in(party.source)) &&
         kind_admits(match.destination_ranges, match.not_destination_ranges, in(party.destination)) &&
         kind_admits(match.principals, match.not_principals, is(party.principal)) &&
         kind_admits(match.namespaces, match.not_namespaces, is(party.ns)) &&
         kind_admits(match.service_accounts, match.not_service_accounts, is_account);
}

bool matches(const model::PolicyRule& rule, const Party& party) {
  return std::ranges::all_of(rule.clauses, [&](const model::PolicyClause& clause) {
    return std::ranges::any_of(clause, [&](const auto& match) { return matches(match, party); });
  });
}

bool is_strict(const model::LocalPod& pod, uint16_t port) {
  for (const auto& mode : pod.port_modes)
    if (mode.port == port) return mode.mode == model::PeerMode::kStrict;
  return pod.peer_mode == model::PeerMode::kStrict;
}

Party party_of(const model::Snapshot& snapshot, const Peer& peer, uint16_t port) {
  Party out{.proven = peer.proven != nullptr,
            .source = peer.address,
            .destination = peer.destination,
            .port = port};
  if (!out.proven) return out;
  out.ns = peer.proven->ns;
  out.account = peer.proven->ns + "/" + peer.proven->service_account;
  out.principal =
      snapshot.settings.trust_domain + "/ns/" + peer.proven->ns + "/sa/" + peer.proven->service_account;
  return out;
}

}  // namespace

Verdict judge(const model::Snapshot& snapshot, const model::LocalPod& pod, const Peer& peer, uint16_t port) {
  if (peer.proven == nullptr && is_strict(pod, port)) return {.reason = Verdict::Reason::kStrictAnonymous};
  const Party party = party_of(snapshot, peer, port);
  const model::PolicyRule* allowed = nullptr;
  bool any = false, any_allow = false;
  for (const uint32_t index : pod.rules) {
    const model::PolicyRule& rule = snapshot.policy_rules[index];
    if (rule.dry_run) continue;
    any = true;
    any_allow = any_allow || !rule.deny;
    if (!matches(rule, party)) continue;
    if (rule.deny) return {.reason = Verdict::Reason::kDenied, .rule = &rule};
    if (allowed == nullptr) allowed = &rule;
  }
  if (!any) return {};
  if (any_allow && allowed == nullptr) return {.reason = Verdict::Reason::kNotAllowed};
  return {.reason = Verdict::Reason::kAllowed, .rule = allowed};
}

std::string describe(const Verdict& verdict) {
  const auto named = [&] { return fmt::format("rule {} ({})", verdict.rule->id, verdict.rule->source); };
  switch (verdict.reason) {
    case Verdict::Reason::kNoRules:
      return "no rule";
    case Verdict::Reason::kAllowed:
      return verdict.rule == nullptr ? "no DENY rule matches" : named();
    case Verdict::Reason::kDenied:
      return named();
    case Verdict::Reason::kNotAllowed:
      return "no ALLOW rule matches";
    case Verdict::Reason::kStrictAnonymous:
      return "STRICT and the peer has no proven identity";
  }
  return {};
}

}  // namespace weft::policy
