#include "agent/state/virtual_services.h"

#include <algorithm>
#include <iterator>

#include "userspace-proxy/base/address.h"

namespace weft::state {
namespace {

constexpr size_t kMaxHostLength = 253;

void refuse(BoundRules& rules, const char* reason, std::string why) {
  if (!rules.refused.empty()) return;
  rules.refused_reason = reason;
  rules.refused = std::move(why);
}

void check_host(BoundRules& rules, const std::string& host) {
  const bool mesh = rules.gateways.contains("mesh");
  if (host.empty() || host.size() > kMaxHostLength) {
    refuse(rules, "InvalidHost", "a host is empty or longer than 253 characters");
    return;
  }
  if (!mesh) return;
  if (host == "*") {
    refuse(rules, "InvalidHost",
           "host \"*\" cannot be bound to the mesh; name a gateway in spec.gateways, or name the host");
  }
  if (base::Address::parse(host)) {
    refuse(rules, "InvalidHost",
           "host " + host + " is an address, which only a gateway can serve; name the service instead");
  }
}

BoundRules bind(const Key& key, const objects::VirtualService& object, const std::string& domain) {
  BoundRules out;
  out.object = &object;
  out.key = key;
  out.visibility = visibility_of(object.export_to, key.ns);
  for (const std::string& gateway : object.gateways) out.gateways.insert(complete_gateway(gateway, key.ns));
  if (out.gateways.empty()) out.gateways.insert("mesh");
  for (const std::string& host : object.hosts) {
    out.hosts.push_back(complete_host(host, key.ns, domain));
    check_host(out, out.hosts.back());
  }
  if (object.hosts.empty())
    refuse(out, "UnsupportedDelegate",
           "a VirtualService without hosts is a delegate, which is not supported yet; write its rules into "
           "the root");
  if (object.http.empty())
    refuse(out, "UnsupportedRoutes", "there are no http rules; tls and tcp rules are not supported yet");
  return out;
}

// 0: only for this namespace, 1: also for others by name, 2: for everybody.
int rank(const BoundRules& rules, const std::string& client_ns) {
  if (rules.visibility.everybody) return 2;
  return rules.key.ns == client_ns ? 0 : 1;
}

}  // namespace

VirtualServices::VirtualServices(const Objects<objects::VirtualService>& all, const std::string& domain) {
  all_.reserve(all.size());
  for (const auto& [key, object] : all) all_.push_back(bind(key, *object, domain));
  for (const BoundRules& rules : all_) {
    if (!rules.refused.empty()) continue;
    // A gateway named in a match counts, whatever the top level says of it, only with the top level's
    // consent.
    if (!rules.gateways.contains("mesh")) continue;
    for (const std::string& host : std::set<std::string>(rules.hosts.begin(), rules.hosts.end())) {
      mesh_by_host_[host].push_back(&rules);
    }
  }
}

std::vector<const BoundRules*> in_order(std::vector<const BoundRules*> rules, const std::string& client_ns) {
  std::erase_if(rules, [&](const BoundRules* r) { return !r->visibility.in(client_ns); });
  std::ranges::sort(rules, [&](const BoundRules* a, const BoundRules* b) {
    const int left = rank(*a, client_ns), right = rank(*b, client_ns);
    return left != right ? left < right : objects::older(*a->object, *b->object);
  });
  return rules;
}

std::vector<const BoundRules*> VirtualServices::in_force(const std::string& gateway,
                                                         const std::string& client_ns) const {
  std::vector<const BoundRules*> out;
  for (const BoundRules& rules : all_)
    if (rules.refused.empty() && rules.gateways.contains(gateway)) out.push_back(&rules);
  return in_order(std::move(out), client_ns);
}

const std::vector<const BoundRules*>& VirtualServices::mesh_rules(const std::string& host) const {
  static const std::vector<const BoundRules*> kNobody;
  const auto found = mesh_by_host_.find(host);
  return found == mesh_by_host_.end() ? kNobody : found->second;
}

void sort_routes(std::vector<OwnedRoute>& routes) {
  std::vector<OwnedRoute> sorted, last;
  for (OwnedRoute& route : routes) (route.catch_all ? last : sorted).push_back(std::move(route));
  std::ranges::move(last, std::back_inserter(sorted));
  routes = std::move(sorted);
}

void bound_routes(std::vector<OwnedRoute>& routes, size_t room, const std::string& client_ns, Notes& notes) {
  if (routes.size() <= room) return;
  for (size_t i = room; i < routes.size(); ++i) {
    notes[routes[i].owner].invalid.insert(routes[i].route.source +
                                          " is left out and requests it matches get 503: a host may have " +
                                          std::to_string(kMaxRoutes) + " routes");
  }
  routes.resize(room);
  model::Route rest{.name = "too-many", .source = "routes that are left out"};
  if (!client_ns.empty()) rest.matches.push_back({.source_namespace = client_ns});
  rest.clusters.push_back({model::kNone, 1, "too many routes"});
  routes.push_back({std::move(rest), {}, true});
}

void note_owners(const std::vector<OwnedRoute>& routes, const std::string& where, Notes& notes) {
  std::vector<Key> owners;
  for (const OwnedRoute& route : routes)
    if (std::ranges::find(owners, route.owner) == owners.end()) owners.push_back(route.owner);
  std::string order;
  for (const Key& owner : owners) order += (order.empty() ? "" : ", then ") + owner.ns + "/" + owner.name;
  for (const Key& owner : owners) {
    notes[owner].serves.insert(where);
    if (owners.size() > 1) notes[owner].merged.insert(where + ": " + order);
  }
}

}  // namespace weft::state
