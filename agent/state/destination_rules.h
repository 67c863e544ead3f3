#pragma once
// DestinationRules: which one holds for a caller and a service, and the subsets it defines.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/state/hosts.h"
#include "agent/state/store.h"

namespace weft::state {

// The rules that hold for one caller's namespace, oldest first, and the union of their subsets (the first
// definition of a name wins).
struct RuleSet {
  std::vector<const objects::DestinationRule*> rules;
  std::map<std::string, objects::Labels> subsets;
  bool operator==(const RuleSet& other) const { return rules == other.rules; }
};

// An index over the rules of the Store, made anew with each layout. Lifetime: one build; it points into the
// Store.
class DestinationRules {
 public:
  DestinationRules(const Objects<objects::DestinationRule>& rules, std::string domain,
                   std::string root_namespace);

  // Istio's order: the caller's namespace, the service's, the root's; in each the most specific host.
  // `client_ns` empty: a caller of a namespace that no rule speaks of.
  [[nodiscard]] RuleSet find(const std::string& hostname, const std::string& service_ns,
                             const std::string& client_ns) const;
  // The namespaces whose callers are to be looked at on their own, since some rule treats them apart.
  [[nodiscard]] std::set<std::string> special_clients(const std::string& hostname,
                                                      const std::string& service_ns) const;

 private:
  struct Entry {
    const objects::DestinationRule* rule;
    Visibility visibility;
  };
  using ByHost = std::map<std::string, std::vector<Entry>>;  // completed host -> rules, oldest first

  enum class Which { kAll, kExported, kPrivate };
  [[nodiscard]] RuleSet find_in(const std::string& rule_ns, const std::string& hostname,
                                const std::string& client_ns, Which which) const;

  std::map<std::string, ByHost> by_namespace_;
  std::string root_namespace_;
};

}  // namespace weft::state
