#include "agent/state/layout.h"

#include <algorithm>

#include "agent/state/destination_rules.h"
#include "agent/state/mesh_tables.h"

namespace weft::state {
namespace {

const objects::Pod* self_of(const Store& store, const StateOptions& options) {
  const auto found = store.pods.find({options.ns, options.pod});
  return found == store.pods.end() ? nullptr : found->second.get();
}

void note_missing_gateways(const Store& store, const VirtualServices& rules, Notes& notes) {
  for (const BoundRules& one : rules.all()) {
    for (const std::string& gateway : one.gateways) {
      if (gateway == "mesh") continue;
      const size_t slash = gateway.find('/');
      if (store.gateways.contains({gateway.substr(0, slash), gateway.substr(slash + 1)})) continue;
      notes[one.key].missing.insert("no Gateway " + gateway + "; create it or correct spec.gateways");
    }
  }
}

// Marks the rules that hold for callers of `client_ns` and the service.
void note_holding(const DestinationRules& rules, const model::Service& service, const std::string& client_ns,
                  std::map<Key, RuleNotes>& out) {
  for (const objects::DestinationRule* rule : rules.find(service.hostname, service.ns, client_ns).rules) {
    RuleNotes& notes = out[store_key(*rule)];
    notes.applied = true;
    if (!client_ns.empty()) notes.limited += (notes.limited.empty() ? "" : ", ") + client_ns;
  }
}

bool names_a_service(const std::string& host, const Services& services) {
  if (!is_wildcard(host)) return services.find(host) != model::kNone;
  return std::ranges::any_of(services.services,
                             [&](const model::Service& s) { return covers(host, s.hostname); });
}

std::string advice(const Key& rule, const StateOptions& options) {
  const std::string who =
      options.role == model::Role::kGateway ? "this gateway in namespace " + options.ns : "callers";
  return "another DestinationRule goes before it for " + who + ", or namespace " + rule.ns +
         " is not where they look; put it into the Service's namespace or into " + options.root_namespace +
         ", and one rule for a host";
}

std::map<Key, RuleNotes> note_rules(const Store& store, const DestinationRules& rules,
                                    const Services& services, const StateOptions& options) {
  std::map<Key, RuleNotes> out;
  std::map<Key, RuleNotes> everybody;
  const bool gateway = options.role == model::Role::kGateway;
  for (uint32_t i = 0; i < services.services.size(); ++i) {
    note_holding(rules, services.services[i], gateway ? options.ns : "", everybody);
    for (const std::string& client : services.special_clients(i))
      note_holding(rules, services.services[i], client, out);
  }
  for (const auto& [key, rule] : store.destination_rules) {
    RuleNotes& notes = out[key];
    notes.host = complete_host(rule->host, key.ns, services.domain());
    if (everybody.contains(key)) {
      notes.applied = true;
      notes.limited.clear();
    }
    notes.known = names_a_service(notes.host, services);
    if (!notes.applied) notes.why_not = advice(key, options);
  }
  return out;
}

}  // namespace

Layout make_layout(const Store& store, const StateOptions& options) {
  Layout out;
  const bool gateway = options.role == model::Role::kGateway;
  const std::string& domain = options.settings.cluster_domain;
  const DestinationRules rules(store.destination_rules, domain, options.root_namespace);
  Services services(store.services, rules, {domain, gateway ? options.ns : "", !gateway});
  const VirtualServices virtual_services(store.virtual_services, domain);

  if (!gateway) {
    note_missing_gateways(store, virtual_services, out.virtual_services);
    out.route_tables = make_mesh_tables(services, virtual_services, out.virtual_services);
    if (options.whole_cluster)
      out.gateways = note_all_gateways(store, services, virtual_services, out.virtual_services);
  } else if (const objects::Pod* self = self_of(store, options)) {
    GatewayLayout made = make_gateway_layout(store, *self, services, virtual_services, out.virtual_services);
    out.route_tables = std::move(made.tables);
    out.listeners = std::move(made.listeners);
    out.gateways = std::move(made.notes);
  }
  out.destination_rules = note_rules(store, rules, services, options);
  for (const BoundRules& one : virtual_services.all())
    if (!one.refused.empty()) out.refused[one.key] = one.refused_reason + ": " + one.refused;
  out.services = std::move(services.services);
  out.clusters = std::move(services.clusters);
  out.plans = std::move(services.plans);
  return out;
}

}  // namespace weft::state
