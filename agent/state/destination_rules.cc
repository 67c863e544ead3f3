#include "agent/state/destination_rules.h"

#include <algorithm>
#include <optional>

namespace weft::state {
namespace {

// The hosts that may stand for `hostname`, most specific first: itself, "*.b.c", "*.c", "*".
std::vector<std::string> patterns_of(const std::string& hostname) {
  std::vector<std::string> out{hostname};
  for (size_t dot = hostname.find('.'); dot != std::string::npos; dot = hostname.find('.', dot + 1)) {
    out.push_back("*" + hostname.substr(dot));
  }
  out.emplace_back("*");
  return out;
}

}  // namespace

DestinationRules::DestinationRules(const Objects<objects::DestinationRule>& rules, std::string domain,
                                   std::string root_namespace)
    : root_namespace_(std::move(root_namespace)) {
  for (const auto& [key, rule] : rules) {
    // Meant for some clients only, which cannot be told yet: applied to everybody it would be wrong for most.
    if (rule->selects_clients) continue;
    const std::string host = complete_host(rule->host, key.ns, domain);
    by_namespace_[key.ns][host].push_back({rule.get(), visibility_of(rule->export_to, key.ns)});
  }
  for (auto& [ns, hosts] : by_namespace_)
    for (auto& [host, entries] : hosts)
      std::ranges::sort(entries,
                        [](const Entry& a, const Entry& b) { return objects::older(*a.rule, *b.rule); });
}

RuleSet DestinationRules::find_in(const std::string& rule_ns, const std::string& hostname,
                                  const std::string& client_ns, Which which) const {
  RuleSet out;
  const auto hosts = by_namespace_.find(rule_ns);
  if (hosts == by_namespace_.end()) return out;
  const auto usable = [&](const Entry& entry) {
    if (which == Which::kAll) return true;
    if (which == Which::kExported) return entry.visibility.in(client_ns);
    return !entry.visibility.everybody && entry.visibility.in(rule_ns);
  };
  for (const std::string& pattern : patterns_of(hostname)) {
    const auto entries = hosts->second.find(pattern);
    if (entries == hosts->second.end()) continue;
    std::optional<Visibility> first;  // rules with another exportTo stay apart from the oldest
    for (const Entry& entry : entries->second) {
      if (!usable(entry) || (first && *first != entry.visibility)) continue;
      first = entry.visibility;
      out.rules.push_back(entry.rule);
      for (const objects::Subset& subset : entry.rule->subsets)
        out.subsets.emplace(subset.name, subset.labels);
    }
    if (!out.rules.empty()) return out;
  }
  return out;
}

RuleSet DestinationRules::find(const std::string& hostname, const std::string& service_ns,
                               const std::string& client_ns) const {
  const bool from_root = client_ns == root_namespace_;
  RuleSet own = find_in(client_ns, hostname, client_ns, from_root ? Which::kPrivate : Which::kAll);
  if (!own.rules.empty()) return own;
  RuleSet service = find_in(service_ns, hostname, client_ns, Which::kExported);
  if (!service.rules.empty()) return service;
  return find_in(root_namespace_, hostname, client_ns, Which::kExported);
}

std::set<std::string> DestinationRules::special_clients(const std::string& hostname,
                                                        const std::string& service_ns) const {
  std::set<std::string> out;
  const std::vector<std::string> patterns = patterns_of(hostname);
  for (const auto& [ns, hosts] : by_namespace_) {
    for (const std::string& pattern : patterns) {
      const auto entries = hosts.find(pattern);
      if (entries == hosts.end()) continue;
      // Its own callers meet a rule first (step 1), wherever it lies.
      out.insert(ns);
      if (ns != service_ns && ns != root_namespace_) continue;
      for (const Entry& entry : entries->second)
        if (!entry.visibility.everybody)
          out.insert(entry.visibility.namespaces.begin(), entry.visibility.namespaces.end());
    }
  }
  // A caller for whom the same rules hold as for everybody needs no look of its own.
  const RuleSet common = find(hostname, service_ns, "");
  std::erase_if(out, [&](const std::string& ns) { return find(hostname, service_ns, ns) == common; });
  return out;
}

}  // namespace weft::state
