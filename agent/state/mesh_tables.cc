#include "agent/state/mesh_tables.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "agent/state/protocol.h"
#include "agent/state/shadow.h"

namespace weft::state {
namespace {

// The hosts that VirtualServices may name a service by, most specific first.
std::vector<std::string> patterns_of(const std::string& hostname) {
  std::vector<std::string> out{hostname};
  for (size_t dot = hostname.find('.'); dot != std::string::npos; dot = hostname.find('.', dot + 1)) {
    out.push_back("*" + hostname.substr(dot));
  }
  return out;
}

// Each namespace treated apart costs a copy of the routes.
constexpr size_t kMaxClients = 200;

// What a caller may write into Host to mean this service.
std::vector<std::string> names_of(const model::Service& service) {
  std::vector<std::string> out{service.hostname, service.hostname + ".",
                               service.name + "." + service.ns + ".svc", service.name + "." + service.ns,
                               service.name};
  for (const base::Address& address : service.addresses) {
    const std::string text = address.to_string();
    out.push_back(address.is_v4() ? text : "[" + text + "]");
  }
  return out;
}

class TableMaker {
 public:
  TableMaker(const Services& services, const VirtualServices& rules, Notes& notes)
      : services_(services), rules_(rules), notes_(notes) {}

  // No table (empty name) if no VirtualService has a route for this port.
  model::RouteTable make(const model::Service& service, const model::ServicePort& port) {
    std::set<std::string> clients = special_clients(service);
    model::VirtualHost host;
    host.name = service.hostname + ":" + std::to_string(port.port);
    std::vector<OwnedRoute> common = routes_for(service, port, "");
    bool any = !common.empty();
    for (const std::string& client : clients) {
      std::vector<OwnedRoute> routes = routes_for(service, port, client);
      bound_routes(routes, kMaxRoutes - std::min(kMaxRoutes, host.routes.size()), client, notes_);
      any |= !routes.empty();
      append(host, std::move(routes), port, client);
    }
    if (!any) return {};
    bound_routes(common, kMaxRoutes - std::min(kMaxRoutes, host.routes.size()), "", notes_);
    append(host, std::move(common), port, "");
    host.domains = names_of(service);
    model::RouteTable table{.name = host.name};
    table.fallback_cluster = port.cluster;
    table.hosts.push_back(std::move(host));
    return table;
  }

  // True if some VirtualService names this service, whatever its port speaks.
  [[nodiscard]] bool is_named(const model::Service& service) const {
    return std::ranges::any_of(patterns_of(service.hostname),
                               [&](const std::string& p) { return !rules_.mesh_rules(p).empty(); });
  }

  void note_undeclared(const model::Service& service, const objects::ServicePort& port) {
    for (const std::string& pattern : patterns_of(service.hostname)) {
      for (const BoundRules* rules : rules_.mesh_rules(pattern)) {
        notes_[rules->key].invalid.insert(
            "port " + std::to_string(port.port) + " of Service " + service.hostname +
            " declares no protocol and is carried as TCP, no rule here applies to it; "
            "name the port http-... or set appProtocol: http");
      }
    }
  }

 private:
  std::set<std::string> special_clients(const model::Service& service) {
    std::set<std::string> out;
    for (const std::string& pattern : patterns_of(service.hostname)) {
      for (const BoundRules* rules : rules_.mesh_rules(pattern)) {
        out.insert(rules->visibility.namespaces.begin(), rules->visibility.namespaces.end());
        for (const objects::HttpRoute& rule : rules->object->http) add_clients(rule, rules->key.ns, out);
        if (out.size() <= kMaxClients) continue;
        notes_[rules->key].invalid.insert("more than " + std::to_string(kMaxClients) +
                                          " namespaces are treated apart for " + service.hostname +
                                          "; callers of the last ones are treated as everybody");
        out.erase(std::next(out.begin(), kMaxClients), out.end());
      }
    }
    return out;
  }

  void add_clients(const objects::HttpRoute& rule, const std::string& rule_ns,
                   std::set<std::string>& out) const {
    for (const objects::HttpMatch& match : rule.match)
      if (!match.source_namespace.empty()) out.insert(match.source_namespace);
    for (const objects::HttpDestination& to : rule.route) {
      const uint32_t service = services_.find(complete_host(to.host, rule_ns, services_.domain()));
      if (service == model::kNone || to.subset.empty()) continue;
      const std::set<std::string>& special = services_.special_clients(service);
      out.insert(special.begin(), special.end());
    }
  }

  // The routes of the most specific host that has any for this port and caller.
  std::vector<OwnedRoute> routes_for(const model::Service& service, const model::ServicePort& port,
                                     const std::string& client_ns) {
    RouteScope scope;
    scope.client_ns = client_ns;
    scope.port = port.port;
    for (const std::string& pattern : patterns_of(service.hostname)) {
      const auto rules = in_order(rules_.mesh_rules(pattern), client_ns);
      std::vector<OwnedRoute> out;
      for (const BoundRules* one : rules) add_routes(*one, scope, services_, out, notes_);
      if (out.empty()) continue;
      sort_routes(out);
      const std::string where = service.hostname + ":" + std::to_string(port.port);
      note_shadowed(out, where, notes_);
      note_owners(out, "mesh, " + where + (client_ns.empty() ? "" : " for callers in " + client_ns), notes_);
      return out;
    }
    return {};
  }

  // Routes of one scope, closed: a caller whom some rule concerns gets 404 where none matches, every other
  // caller gets the service it called.
  void append(model::VirtualHost& host, std::vector<OwnedRoute> routes, const model::ServicePort& port,
              const std::string& client_ns) {
    const bool closed = !routes.empty() && routes.back().catch_all;
    const std::set<model::Labels> labels = callers_by_label(routes);
    const bool concerns_all = !routes.empty() && labels.empty();
    for (OwnedRoute& route : routes) host.routes.push_back(std::move(route.route));
    if (closed) return;
    for (const model::Labels& label : labels) {
      host.routes.push_back(no_rule({.source_labels = label, .source_namespace = client_ns}));
    }
    if (!concerns_all) {
      host.routes.push_back(own_cluster(port, client_ns));
      return;
    }
    // The end of the virtual host means 404 as well.
    if (!client_ns.empty()) host.routes.push_back(no_rule({.source_namespace = client_ns}));
  }

  // If every match asks for labels of the caller: which. A caller without them is concerned by no rule.
  static std::set<model::Labels> callers_by_label(const std::vector<OwnedRoute>& routes) {
    std::set<model::Labels> out;
    for (const OwnedRoute& owned : routes) {
      if (owned.route.matches.empty()) return {};
      for (const model::RouteMatch& match : owned.route.matches) {
        if (match.source_labels.empty()) return {};
        out.insert(match.source_labels);
      }
    }
    return out;
  }

  static model::Route no_rule(model::RouteMatch match) {
    return {.name = "none",
            .source = "no rule of the VirtualServices in force matches",
            .matches = {std::move(match)}};
  }

  model::Route own_cluster(const model::ServicePort& port, const std::string& client_ns) const {
    model::Route out{.name = "default", .source = "no VirtualService holds for this caller"};
    if (!client_ns.empty()) out.matches.push_back({.source_namespace = client_ns});
    out.clusters.push_back({port.cluster, 1, services_.clusters[port.cluster].name});
    return out;
  }

  const Services& services_;
  const VirtualServices& rules_;
  Notes& notes_;
};

}  // namespace

std::vector<model::RouteTable> make_mesh_tables(Services& services, const VirtualServices& rules,
                                                Notes& notes) {
  std::vector<model::RouteTable> out;
  TableMaker maker(services, rules, notes);
  for (uint32_t i = 0; i < services.services.size(); ++i) {
    model::Service& service = services.services[i];
    if (!maker.is_named(service)) continue;
    for (const objects::ServicePort& port : services.object(i).ports) {
      if (port.protocol == objects::TransportProtocol::kTcp && !protocol_of(port).declared) {
        maker.note_undeclared(service, port);
      }
    }
    for (model::ServicePort& port : service.ports) {
      if (!model::is_http(port.protocol)) continue;
      model::RouteTable table = maker.make(service, port);
      if (table.name.empty()) continue;
      port.route_table = static_cast<uint32_t>(out.size());
      out.push_back(std::move(table));
    }
  }
  return out;
}

}  // namespace weft::state
