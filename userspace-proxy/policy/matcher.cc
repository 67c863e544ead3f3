#include "userspace-proxy/policy/matcher.h"

#include <algorithm>
#include <bit>
#include <map>

namespace weft::policy {
namespace {

// Shared by every gate that knows nothing and by every party, proven or not.
constexpr uint64_t kAlways = 1ull << 63;

// Appends to a fixed room; what does not fit is a broken bound of validate().
struct Writer {
  char* at;
  char* end;
  std::string_view put(std::initializer_list<std::string_view> pieces) {
    char* const begin = at;
    for (const std::string_view piece : pieces) {
      CHECK(piece.size() <= static_cast<size_t>(end - at));
      at = std::copy(piece.begin(), piece.end(), at);
    }
    return {begin, static_cast<size_t>(at - begin)};
  }
};

bool in_any(const std::vector<base::Cidr>& ranges, const base::Address& address) {
  return std::ranges::any_of(ranges, [&](const base::Cidr& range) { return range.contains(address); });
}

bool has(const std::vector<uint16_t>& ports, uint16_t port) {
  return std::ranges::find(ports, port) != ports.end();
}

const model::PortMode* mode_of(const model::LocalPod& pod, uint16_t port) {
  const auto found = std::ranges::lower_bound(pod.port_modes, port, {}, &model::PortMode::port);
  return found != pod.port_modes.end() && found->port == port ? &*found : nullptr;
}

}  // namespace

// Who asks, as numbers and texts; the texts lie in the caller's room.
struct Matcher::Party {
  bool proven = false;
  std::string_view principal, ns, account;
  uint32_t principal_number = 0, ns_number = 0, account_number = 0;
  const base::Address* source = nullptr;
  const base::Address* destination = nullptr;
  uint16_t port = 0;
  uint64_t identity_bits = kAlways;
  uint64_t port_bits = kAlways;
};

Matcher::Matcher(model::SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {
  rules_.reserve(snapshot_->policy_rules.size());
  for (const auto& rule : snapshot_->policy_rules) add_rule(rule);
  std::map<std::vector<uint32_t>, uint32_t> plans;
  for (const auto& pod : snapshot_->local_pods) {
    const auto [found, added] = plans.emplace(pod.rules, static_cast<uint32_t>(plans_.size()));
    if (added) plans_.push_back(plan_of(pod));
    plan_of_pod_.push_back(found->second);
  }
}

uint32_t Matcher::number(std::string_view text) {
  const auto found = numbers_.find(text);
  if (found != numbers_.end()) return found->second;
  return numbers_.emplace(std::string(text), static_cast<uint32_t>(numbers_.size()) + 1).first->second;
}

uint32_t Matcher::known(std::string_view text) const {
  const auto found = numbers_.find(text);
  return found == numbers_.end() ? 0 : found->second;
}

Matcher::Names Matcher::names_of(const std::vector<model::StringPattern>& patterns) {
  Names out{.said = !patterns.empty()};
  for (const auto& pattern : patterns) {
    if (pattern.kind == model::StringPattern::Kind::kExact) out.exact.push_back(number(pattern.value));
    if (pattern.kind == model::StringPattern::Kind::kPrefix) out.prefixes.push_back(pattern.value);
    if (pattern.kind == model::StringPattern::Kind::kSuffix) out.suffixes.push_back(pattern.value);
    if (pattern.kind == model::StringPattern::Kind::kPresent) out.present = true;
  }
  std::ranges::sort(out.exact);
  return out;
}

Matcher::Names Matcher::accounts_of(const std::vector<std::string>& accounts) {
  Names out{.said = !accounts.empty()};
  for (const auto& account : accounts) out.exact.push_back(number(account));
  std::ranges::sort(out.exact);
  return out;
}

Matcher::Match Matcher::match_of(const model::PolicyMatch& match) {
  return {.source = &match,
          .principals = names_of(match.principals),
          .not_principals = names_of(match.not_principals),
          .namespaces = names_of(match.namespaces),
          .not_namespaces = names_of(match.not_namespaces),
          .accounts = accounts_of(match.service_accounts),
          .not_accounts = accounts_of(match.not_service_accounts)};
}

void Matcher::add_rule(const model::PolicyRule& rule) {
  Rule& out = rules_.emplace_back();
  out.source = &rule;
  for (const auto& clause : rule.clauses) {
    Clause& made = out.clauses.emplace_back();
    for (const auto& match : clause) made.push_back(match_of(match));
  }
  gates_.push_back(gate_of(out));
}

Matcher::Plan Matcher::plan_of(const model::LocalPod& pod) const {
  Plan out{.rules = pod.rules};
  const auto rank = [this](uint32_t index) {
    const model::PolicyRule& rule = snapshot_->policy_rules[index];
    return rule.dry_run ? 2 : rule.deny ? 0 : 1;
  };
  std::ranges::stable_sort(out.rules, {}, rank);
  out.denies = static_cast<size_t>(std::ranges::count(out.rules, 0, rank));
  out.allows = static_cast<size_t>(std::ranges::count(out.rules, 1, rank));
  return out;
}

uint64_t Matcher::bit(uint32_t value) {
  return 1ull << (value * 0x9e3779b9u >> 16) % 63;  // 63 itself is kAlways
}

uint64_t Matcher::identity_bits(const Match& match) {
  uint64_t best = ~0ull;
  for (const Names* names : {&match.principals, &match.namespaces, &match.accounts}) {
    if (!names->said || names->present || !names->prefixes.empty() || !names->suffixes.empty()) continue;
    uint64_t bits = 0;
    for (const uint32_t number : names->exact) bits |= bit(number);
    if (std::popcount(bits) < std::popcount(best)) best = bits;
  }
  return best;
}

uint64_t Matcher::port_bits(const Match& match) {
  if (match.source->ports.empty()) return ~0ull;
  uint64_t bits = 0;
  for (const uint16_t port : match.source->ports) bits |= bit(port);
  return bits;
}

// A clause is an OR: any bit of any of its matches. The rule is an AND: one clause will do, the narrowest is taken.
Matcher::Gate Matcher::gate_of(const Rule& rule) {
  Gate out;
  for (const Clause& clause : rule.clauses) {
    Gate one{.identity = 0, .port = 0};
    for (const Match& match : clause) {
      one.identity |= identity_bits(match);
      one.port |= port_bits(match);
    }
    if (std::popcount(one.identity) < std::popcount(out.identity)) out.identity = one.identity;
    if (std::popcount(one.port) < std::popcount(out.port)) out.port = one.port;
  }
  return out;
}

Matcher::Party Matcher::party_of(const Peer& peer, uint16_t port, std::array<char, 4096>& room) const {
  Party out{.proven = peer.is_proven(),
            .source = &peer.address,
            .destination = &peer.destination,
            .port = port,
            .port_bits = kAlways | bit(port)};
  if (!out.proven) return out;
  const bool by_tls = peer.identity != nullptr;
  out.ns = by_tls ? peer.identity->ns : peer.proven->ns;
  const std::string_view account = by_tls ? peer.identity->service_account : peer.proven->service_account;
  const std::string_view domain = by_tls ? peer.identity->trust_domain : snapshot_->settings.trust_domain;
  Writer writer{room.data(), room.data() + room.size()};
  out.principal = writer.put({domain, "/ns/", out.ns, "/sa/", account});
  // "ns/account" would not fit beside the longest principal; nothing that long is named by a rule.
  if (out.ns.size() + account.size() < 1024) out.account = writer.put({out.ns, "/", account});
  out.principal_number = known(out.principal);
  out.ns_number = known(out.ns);
  out.account_number = known(out.account);
  for (const uint32_t number : {out.principal_number, out.ns_number, out.account_number})
    if (number != 0) out.identity_bits |= bit(number);
  return out;
}

bool Matcher::fits(const Names& names, uint32_t number, std::string_view text) {
  if (number != 0 && std::ranges::binary_search(names.exact, number)) return true;
  if (names.present && !text.empty()) return true;
  return std::ranges::any_of(names.prefixes, [&](auto prefix) { return text.starts_with(prefix); }) ||
         std::ranges::any_of(names.suffixes, [&](auto suffix) { return text.ends_with(suffix); });
}

bool Matcher::admits(const Names& positive, const Names& negative, const Party& party, uint32_t number,
                     std::string_view text) {
  if (positive.said && !(party.proven && fits(positive, number, text))) return false;
  return !(negative.said && party.proven && fits(negative, number, text));
}

bool Matcher::matches(const Match& match, const Party& party) {
  const model::PolicyMatch& source = *match.source;
  if (!source.ports.empty() && !has(source.ports, party.port)) return false;
  if (has(source.not_ports, party.port)) return false;
  if (!admits(match.namespaces, match.not_namespaces, party, party.ns_number, party.ns)) return false;
  if (!admits(match.accounts, match.not_accounts, party, party.account_number, party.account)) return false;
  if (!admits(match.principals, match.not_principals, party, party.principal_number, party.principal)) return false;
  if (!source.source_ranges.empty() && !in_any(source.source_ranges, *party.source)) return false;
  if (in_any(source.not_source_ranges, *party.source)) return false;
  if (!source.destination_ranges.empty() && !in_any(source.destination_ranges, *party.destination)) return false;
  return !in_any(source.not_destination_ranges, *party.destination);
}

bool Matcher::matches(uint32_t rule, const Party& party) const {
  const Gate& gate = gates_[rule];
  if ((gate.identity & party.identity_bits) == 0 || (gate.port & party.port_bits) == 0) return false;
  return std::ranges::all_of(rules_[rule].clauses, [&](const Clause& clause) {
    return std::ranges::any_of(clause, [&](const Match& match) { return matches(match, party); });
  });
}

const model::PolicyRule* Matcher::first_match(const uint32_t* begin, const uint32_t* end,
                                              const Party& party) const {
  const auto* found = std::find_if(begin, end, [&](uint32_t rule) { return matches(rule, party); });
  return found == end ? nullptr : rules_[*found].source;
}

// What is allowed now: would it be, were the dry runs real? An ALLOW rule that matches now would match then.
void Matcher::judge_dry_run(const Plan& plan, const Party& party, Verdict& verdict) const {
  const model::PolicyRule* missed = nullptr;
  bool allowed = verdict.rule != nullptr;
  for (size_t i = plan.denies + plan.allows; i < plan.rules.size(); ++i) {
    const model::PolicyRule* rule = rules_[plan.rules[i]].source;
    const bool matched = matches(plan.rules[i], party);
    if (rule->deny && matched) {
      verdict.would_deny = true;
      verdict.dry_run = rule;
      return;
    }
    if (rule->deny) continue;
    allowed |= matched;
    if (missed == nullptr) missed = rule;
  }
  verdict.would_deny = missed != nullptr && !allowed;
  if (verdict.would_deny) verdict.dry_run = missed;
}

Verdict Matcher::judge(const model::LocalPod& pod, const Peer& peer, uint16_t port) const {
  if (!peer.is_proven()) {
    const model::PortMode* mode = mode_of(pod, port);
    if ((mode != nullptr ? mode->mode : pod.peer_mode) == model::PeerMode::kStrict)
      return {.reason = Verdict::Reason::kStrictAnonymous,
              .mode_source = mode != nullptr ? mode->source : pod.peer_mode_source};
  }
  const auto index = static_cast<size_t>(&pod - snapshot_->local_pods.data());
  CHECK(index < plan_of_pod_.size());
  const Plan& plan = plans_[plan_of_pod_[index]];
  if (plan.rules.empty()) return {};

  std::array<char, 4096> room;
  const Party party = party_of(peer, port, room);
  const uint32_t* const denies = plan.rules.data();
  const uint32_t* const allows = denies + plan.denies;
  if (const auto* rule = first_match(denies, allows, party)) return {.reason = Verdict::Reason::kDenied, .rule = rule};
  Verdict verdict{.reason = plan.denies + plan.allows == 0 ? Verdict::Reason::kNoRules : Verdict::Reason::kAllowed};
  if (plan.allows != 0) {
    verdict.rule = first_match(allows, allows + plan.allows, party);
    if (verdict.rule == nullptr) return {.reason = Verdict::Reason::kNotAllowed, .rule = rules_[*allows].source};
  }
  if (plan.rules.size() > plan.denies + plan.allows) judge_dry_run(plan, party, verdict);
  return verdict;
}

}  // namespace weft::policy
