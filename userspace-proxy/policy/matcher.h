#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/policy/judge.h"

namespace weft::policy {

// The policy of one Snapshot, ready to be asked. Built once per Snapshot off the path, then const: any thread may ask.
// Pins the Snapshot, so a Verdict lives as long as the Matcher.
//
// Names are compared as numbers; before a rule is walked, two bit sets say whether it can speak of this peer and
// port at all, so that the rules about others cost two words each.
class Matcher {
 public:
  explicit Matcher(model::SnapshotPtr snapshot);

  // The order of the kernel half: strict mode (a port's own mode before the pod's), then DENY, then ALLOW. `pod` is one
  // of this Snapshot's. Never allocates.
  [[nodiscard]] Verdict judge(const model::LocalPod& pod, const Peer& peer, uint16_t port) const;

  [[nodiscard]] const model::Snapshot& snapshot() const { return *snapshot_; }

 private:
  struct Names {  // a list of patterns
    bool present = false;
    bool said = false;             // the list is not empty
    std::vector<uint32_t> exact;   // ascending
    std::vector<std::string_view> prefixes, suffixes;
  };
  struct Match {
    const model::PolicyMatch* source = nullptr;  // its ranges and ports are used as they are
    Names principals, not_principals, namespaces, not_namespaces, accounts, not_accounts;
  };
  using Clause = std::vector<Match>;
  // Bits a peer or port must share with the rule. Sound, not exact: all bits where nothing is known.
  struct Gate {
    uint64_t identity = ~0ull;
    uint64_t port = ~0ull;
  };
  struct Rule {
    const model::PolicyRule* source = nullptr;
    std::vector<Clause> clauses;
  };
  // Rules of a pod: DENY, then ALLOW, then those of dry runs.
  struct Plan {
    std::vector<uint32_t> rules;
    size_t denies = 0, allows = 0;  // how many of each
  };
  struct Party;
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  uint32_t number(std::string_view text);
  [[nodiscard]] uint32_t known(std::string_view text) const;  // 0: no rule names it
  Names names_of(const std::vector<model::StringPattern>& patterns);
  Names accounts_of(const std::vector<std::string>& accounts);
  Match match_of(const model::PolicyMatch& match);
  void add_rule(const model::PolicyRule& rule);
  Plan plan_of(const model::LocalPod& pod) const;

  static uint64_t bit(uint32_t value);
  static uint64_t identity_bits(const Match& match);
  static uint64_t port_bits(const Match& match);
  static Gate gate_of(const Rule& rule);
  static bool fits(const Names& names, uint32_t number, std::string_view text);
  static bool admits(const Names& positive, const Names& negative, const Party& party, uint32_t number,
                     std::string_view text);
  static bool matches(const Match& match, const Party& party);

  [[nodiscard]] Party party_of(const Peer& peer, uint16_t port, std::array<char, 4096>& room) const;
  [[nodiscard]] bool matches(uint32_t rule, const Party& party) const;
  [[nodiscard]] const model::PolicyRule* first_match(const uint32_t* begin, const uint32_t* end,
                                                     const Party& party) const;
  void judge_dry_run(const Plan& plan, const Party& party, Verdict& verdict) const;

  model::SnapshotPtr snapshot_;
  std::unordered_map<std::string, uint32_t, TextHash, std::equal_to<>> numbers_;  // of names in rules, from 1
  std::vector<Gate> gates_;  // by rule, beside `rules_` so that a scan stays in the cache
  std::vector<Rule> rules_;
  std::vector<Plan> plans_;         // pods with equal rules share one
  std::vector<uint32_t> plan_of_pod_;  // by local pod
};

}  // namespace weft::policy
