#include "agent/state/authorization.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "agent/state/policies.h"

namespace weft::state {
namespace {

using objects::AuthorizationMatch;
using objects::AuthorizationPolicy;

model::StringPattern pattern_of(std::string_view text) {
  using Kind = model::StringPattern::Kind;
  if (text == "*") return {Kind::kPresent, ""};
  if (text.ends_with('*')) return {Kind::kPrefix, std::string(text.substr(0, text.size() - 1))};
  if (text.starts_with('*')) return {Kind::kSuffix, std::string(text.substr(1))};
  return {Kind::kExact, std::string(text)};
}

std::vector<model::StringPattern> patterns_of(const std::vector<std::string>& texts) {
  std::vector<model::StringPattern> out;
  for (const std::string& text : texts) out.push_back(pattern_of(text));
  return out;
}

// Addresses are kept in one form of 16 bytes in which IPv4 lies inside IPv6. A range of IPv6 as wide as ::/0 would hold
// all of IPv4 in it, which nobody means: it becomes the ranges beside that part.
void add_range(const base::Cidr& range, std::vector<base::Cidr>& out) {
  const base::Cidr v4{base::Address::v4(0), 96};
  if (range.prefix_length >= v4.prefix_length || !range.contains(v4.address)) {
    out.push_back(range);
    return;
  }
  for (uint8_t bit = range.prefix_length; bit < v4.prefix_length; ++bit) {
    base::Cidr beside{v4.address, static_cast<uint8_t>(bit + 1)};
    beside.address.bytes[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
    out.push_back(beside);
  }
}

std::vector<base::Cidr> ranges_of(const std::vector<base::Cidr>& ranges) {
  std::vector<base::Cidr> out;
  for (const base::Cidr& range : std::set<base::Cidr>(ranges.begin(), ranges.end())) add_range(range, out);
  std::ranges::sort(out);
  const auto [first, last] = std::ranges::unique(out);
  out.erase(first, last);
  return out;
}

model::PolicyMatch match_of(const AuthorizationMatch& match) {
  return {.principals = patterns_of(match.principals),
          .not_principals = patterns_of(match.not_principals),
          .namespaces = patterns_of(match.namespaces),
          .not_namespaces = patterns_of(match.not_namespaces),
          .service_accounts = match.service_accounts,
          .not_service_accounts = match.not_service_accounts,
          .source_ranges = ranges_of(match.source_ranges),
          .not_source_ranges = ranges_of(match.not_source_ranges),
          .destination_ranges = ranges_of(match.destination_ranges),
          .not_destination_ranges = ranges_of(match.not_destination_ranges),
          .ports = match.ports,
          .not_ports = match.not_ports};
}

bool is_beyond(const AuthorizationMatch& match) {
  return match.beyond;
}

// An OR of matches. A match of which layer 4 knows nothing is true here (this is a refusing rule), and then so is the
// whole list.
void add_clause(const std::vector<AuthorizationMatch>& matches, model::PolicyRule& rule) {
  model::PolicyClause clause;
  for (const AuthorizationMatch& match : matches) {
    model::PolicyMatch made = match_of(match);
    if (made == model::PolicyMatch{}) return;
    clause.push_back(std::move(made));
  }
  if (!clause.empty()) rule.clauses.push_back(std::move(clause));
}

std::vector<model::PolicyClause> clauses_of(const objects::AuthorizationRule& rule, bool deny) {
  const bool beyond = std::ranges::any_of(rule.from, is_beyond) || std::ranges::any_of(rule.to, is_beyond) ||
                      std::ranges::any_of(rule.when, is_beyond);
  if (beyond && !deny) return {{}};
  model::PolicyRule out;
  add_clause(rule.from, out);
  add_clause(rule.to, out);
  for (const AuthorizationMatch& condition : rule.when) add_clause({condition}, out);
  return std::move(out.clauses);
}

}  // namespace

std::string place_of(const objects::Object& object, const std::string& what, objects::Mark mark) {
  std::string out = objects::to_string(objects::key_of(object));
  if (!what.empty()) out += " " + what;
  if (object.refused) out += ", which was refused";
  if (!object.file.empty()) out += " (" + object.file + ":" + std::to_string(mark.line) + ")";
  return out;
}

std::vector<model::PolicyRule> rules_of(const AuthorizationPolicy& policy) {
  using Action = AuthorizationPolicy::Action;
  if (policy.action == Action::kAudit || policy.has_targets) return {};
  const bool deny = policy.action != Action::kAllow;
  const std::string name = objects::to_string(objects::key_of(policy));
  std::vector<model::PolicyRule> out;
  const auto add = [&](const std::string& what, objects::Mark mark, std::vector<model::PolicyClause> clauses) {
    // The line is no part of the id: a rule that moved within its file is the same rule.
    out.push_back({.id = rule_id(name + " " + what),
                   .source = place_of(policy, what, mark),
                   .deny = deny,
                   .dry_run = policy.dry_run,
                   .clauses = std::move(clauses)});
  };
  if (policy.rules.empty()) add("without rules", policy.mark, {{}});
  for (size_t i = 0; i < policy.rules.size(); ++i)
    add("rules[" + std::to_string(i) + "]", policy.rules[i].mark, clauses_of(policy.rules[i], deny));
  return out;
}

}  // namespace weft::state
