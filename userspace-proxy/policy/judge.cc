#include "userspace-proxy/policy/judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::policy {
namespace {

bool account_matches(const std::string& account, const model::Workload& peer) {
  const size_t slash = peer.ns.size();
  return account.size() == slash + 1 + peer.service_account.size() && account.starts_with(peer.ns) &&
         account[slash] == '/' && account.ends_with(peer.service_account);
}

bool identity_matches(const model::PolicyRule& rule, const model::Workload* peer) {
  if (rule.namespaces.empty() && rule.service_accounts.empty()) return true;
  if (peer == nullptr) return false;
  if (!rule.namespaces.empty() && std::ranges::find(rule.namespaces, peer->ns) == rule.namespaces.end())
    return false;
  return rule.service_accounts.empty() ||
         std::ranges::any_of(rule.service_accounts,
                             [&](const auto& account) { return account_matches(account, *peer); });
}

bool matches(const model::PolicyRule& rule, const Peer& peer, uint16_t port) {
  if (!rule.ports.empty() && std::ranges::find(rule.ports, port) == rule.ports.end()) return false;
  if (!rule.source_ranges.empty() && std::ranges::none_of(rule.source_ranges, [&](const auto& range) {
        return range.contains(peer.address);
      }))
    return false;
  return identity_matches(rule, peer.proven);
}

}  // namespace

Verdict judge(const model::LocalPod& pod, const Peer& peer, uint16_t port) {
  if (pod.peer_mode == model::PeerMode::kStrict && peer.proven == nullptr)
    return {.reason = Verdict::Reason::kStrictAnonymous};
  if (pod.policies.empty()) return {};

  const model::PolicyRule* allowed = nullptr;
  bool any_allow = false;
  for (const auto& rule : pod.policies) {
    any_allow = any_allow || !rule.deny;
    if (!rule.deny && allowed != nullptr) continue;
    if (!matches(rule, peer, port)) continue;
    if (rule.deny) return {.reason = Verdict::Reason::kDenied, .rule = &rule};
    allowed = &rule;
  }
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
