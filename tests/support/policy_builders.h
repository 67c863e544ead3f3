#pragma once
// Policy rules in a few words.
#include <string>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::test {

// "x", "x*", "*x", "*", as an AuthorizationPolicy writes them.
inline model::StringPattern pattern(std::string text) {
  using Kind = model::StringPattern::Kind;
  if (text == "*") return {Kind::kPresent, ""};
  if (text.ends_with('*')) return {Kind::kPrefix, text.substr(0, text.size() - 1)};
  if (text.starts_with('*')) return {Kind::kSuffix, text.substr(1)};
  return {Kind::kExact, std::move(text)};
}

inline std::vector<model::StringPattern> patterns(const std::vector<std::string>& texts) {
  std::vector<model::StringPattern> out;
  for (const auto& text : texts) out.push_back(pattern(text));
  return out;
}

inline std::vector<base::Cidr> ranges(const std::vector<std::string>& texts) {
  std::vector<base::Cidr> out;
  for (const auto& text : texts) out.push_back(*base::Cidr::parse(text));
  return out;
}

// A rule of one clause with one match; a match that says nothing is left out: the rule speaks of everybody.
inline model::PolicyRule rule(uint32_t id, bool deny, model::PolicyMatch match = {}) {
  model::PolicyRule out{.id = id, .source = "rule " + std::to_string(id), .deny = deny};
  if (match != model::PolicyMatch{}) out.clauses = {{std::move(match)}};
  return out;
}

// Makes `rules` the rules of one local pod, and of no other.
inline void give_rules(model::Snapshot& snapshot, size_t local_pod, std::vector<model::PolicyRule> rules) {
  model::LocalPod& pod = snapshot.local_pods[local_pod];
  pod.rules.clear();
  for (auto& one : rules) {
    pod.rules.push_back(static_cast<uint32_t>(snapshot.policy_rules.size()));
    snapshot.policy_rules.push_back(std::move(one));
  }
}

}  // namespace weft::test
