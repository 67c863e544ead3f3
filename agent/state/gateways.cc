#include "agent/state/gateways.h"

#include <algorithm>
#include <optional>

#include "agent/state/endpoints.h"
#include "agent/state/enrolment.h"
#include "agent/state/protocol.h"
#include "agent/state/shadow.h"
#include "agent/state/workloads.h"

namespace weft::state {
namespace {

struct Server {
  const objects::Gateway* gateway;
  const objects::GatewayServer* server;
  model::Protocol protocol;
};
using ServersByPort = std::map<uint16_t, std::vector<Server>>;

// Why a server cannot be served yet; empty: it can.
std::string obstacle(const objects::GatewayServer& server) {
  if (!plaintext_http(server.protocol)) {
    return "protocol " + server.protocol + " is not supported yet; HTTP, HTTP2 and GRPC are";
  }
  if (server.https_redirect)
    return "tls.httpsRedirect is not supported yet; remove it to serve the port in clear text";
  if (!server.tls_mode.empty())
    return "tls.mode " + server.tls_mode + " does not go with protocol " + server.protocol;
  if (server.unsupported) return "it asks for something that is not supported yet, see findings";
  return {};
}

std::vector<const objects::Gateway*> selecting(const Store& store, const objects::Pod& self) {
  std::vector<const objects::Gateway*> out;
  for (const auto& [key, gateway] : store.gateways)
    if (selects(gateway->selector, self.meta.labels)) out.push_back(gateway.get());
  std::ranges::sort(
      out, [](const objects::Gateway* a, const objects::Gateway* b) { return objects::older(*a, *b); });
  return out;
}

ServersByPort usable_servers(const std::vector<const objects::Gateway*>& gateways, GatewayLayout& layout) {
  ServersByPort out;
  for (const objects::Gateway* gateway : gateways) {
    GatewayNotes& notes = layout.notes[store_key(*gateway)];
    for (size_t i = 0; i < gateway->servers.size(); ++i) {
      const objects::GatewayServer& server = gateway->servers[i];
      const std::string problem = obstacle(server);
      if (problem.empty()) {
        out[server.port].push_back({gateway, &server, *plaintext_http(server.protocol)});
        continue;
      }
      notes.invalid.insert("servers[" + std::to_string(i) + "] (port " + std::to_string(server.port) +
                           ") is not served: " + problem);
    }
  }
  return out;
}

// The DNS part of a server's host, if VirtualServices of `rule_ns` may bind to it.
std::optional<std::string> host_for(const std::string& server_host, const std::string& gateway_ns,
                                    const std::string& rule_ns) {
  const size_t slash = server_host.find('/');
  std::string host = server_host.substr(slash == std::string::npos ? 0 : slash + 1);
  std::ranges::transform(host, host.begin(),
                         [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  if (slash == std::string::npos) return host;
  const std::string ns = server_host.substr(0, slash);
  if (ns == "*" || (ns == "." ? gateway_ns : ns) == rule_ns) return host;
  return std::nullopt;
}

std::set<std::string> common_hosts(const Server& server, const BoundRules& rules) {
  std::set<std::string> out;
  for (const std::string& written : server.server->hosts) {
    const auto host = host_for(written, server.gateway->meta.ns, rules.key.ns);
    if (!host) continue;
    for (const std::string& mine : rules.hosts)
      if (auto common = intersection(*host, mine)) out.insert(std::move(*common));
  }
  return out;
}

class TableMaker {
 public:
  TableMaker(const objects::Pod& self, uint16_t port, const Services& services, Notes& notes)
      : self_(self), port_(port), services_(services), notes_(notes) {}

  void add(const Server& server, const VirtualServices& rules) {
    const std::string gateway = server.gateway->meta.ns + "/" + server.gateway->meta.name;
    for (const BoundRules* one : rules.in_force(gateway, self_.meta.ns)) {
      const std::set<std::string> hosts = common_hosts(server, *one);
      if (hosts.empty()) {
        notes_[one->key].invalid.insert("none of its hosts is among the hosts of Gateway " + gateway +
                                        " on port " + std::to_string(port_) +
                                        "; correct spec.hosts or the Gateway's");
      }
      for (const std::string& host : hosts) add_host(host, *one, gateway);
    }
  }

  model::RouteTable finish() {
    model::RouteTable out{.name = "http." + std::to_string(port_)};
    for (auto& [host, routes] : hosts_) {
      sort_routes(routes);
      const std::string where = "host " + host + " port " + std::to_string(port_);
      note_shadowed(routes, where, notes_);
      note_owners(routes, "gateway " + self_.meta.ns + "/" + self_.meta.name + ", " + where, notes_);
      bound_routes(routes, kMaxRoutes, "", notes_);
      model::VirtualHost made{.name = host + ":" + std::to_string(port_), .domains = {host}};
      for (OwnedRoute& route : routes) made.routes.push_back(std::move(route.route));
      out.hosts.push_back(std::move(made));
    }
    return out;
  }

 private:
  void add_host(const std::string& host, const BoundRules& rules, const std::string& gateway) {
    const RouteScope scope{gateway, self_.meta.ns, &self_.meta.labels, port_};
    std::vector<OwnedRoute> routes;
    add_routes(rules, scope, services_, routes, notes_);
    if (routes.empty()) return;
    std::vector<OwnedRoute>& there = hosts_[host];
    for (OwnedRoute& route : routes) {
      // A VirtualService bound to two Gateways on this port has its say once.
      const bool known =
          std::ranges::any_of(there, [&](const OwnedRoute& r) { return r.route == route.route; });
      if (!known) there.push_back(std::move(route));
    }
  }

  const objects::Pod& self_;
  const uint16_t port_;
  const Services& services_;
  Notes& notes_;
  std::map<std::string, std::vector<OwnedRoute>> hosts_;
};

uint16_t port_named(const objects::Pod& pod, const std::string& name) {
  for (const objects::Container& container : pod.spec.containers)
    for (const objects::ContainerPort& port : container.ports)
      if (port.name == name && port.protocol == objects::TransportProtocol::kTcp) return port.port;
  return 0;
}

void note_programmed(GatewayLayout& layout, const std::vector<Server>& servers, uint16_t bind_port,
                     const std::string& text) {
  for (const Server& server : servers) layout.notes[store_key(*server.gateway)].programmed[bind_port] = text;
}

}  // namespace

uint16_t pod_port(const Store& store, const objects::Pod& self, uint16_t port) {
  const objects::Service* oldest = nullptr;
  uint16_t found = 0;
  for (const auto& [key, service] : store.services) {
    if (key.ns != self.meta.ns || service->selector.empty() || !selects(service->selector, self.meta.labels))
      continue;
    for (const objects::ServicePort& candidate : service->ports) {
      if (candidate.port != port || candidate.protocol != objects::TransportProtocol::kTcp) continue;
      const objects::PortReference& target = candidate.target_port;
      uint16_t number = target.number != 0 ? target.number : port_named(self, target.name);
      if (number == 0 && target.name.empty()) number = port;
      if (number == 0 || (oldest && !objects::older(*service, *oldest))) continue;
      oldest = service.get();
      found = number;
    }
  }
  return oldest ? found : port;
}

GatewayLayout make_gateway_layout(const Store& store, const objects::Pod& self, const Services& services,
                                  const VirtualServices& rules, Notes& notes) {
  GatewayLayout out;
  std::map<uint16_t, uint16_t> bound;  // pod port -> Service port
  for (const auto& [port, servers] : usable_servers(selecting(store, self), out)) {
    const uint16_t bind_port = pod_port(store, self, port);
    const std::string text = "port " + std::to_string(port) + ", pod port " + std::to_string(bind_port);
    const auto [first, fresh] = bound.emplace(bind_port, port);
    if (!fresh) {
      for (const Server& server : servers) {
        out.notes[store_key(*server.gateway)].invalid.insert(
            text + " is not served: the pod port already serves port " + std::to_string(first->second));
      }
      continue;
    }
    TableMaker maker(self, port, services, notes);
    for (const Server& server : servers) maker.add(server, rules);
    out.listeners.push_back(
        {port, bind_port, servers.front().protocol, static_cast<uint32_t>(out.tables.size())});
    out.tables.push_back(maker.finish());
    note_programmed(out, servers, bind_port, text);
  }
  return out;
}

namespace {

bool is_gateway_pod(const Store& store, const objects::Pod& pod) {
  // A Gateway without selector means every gateway's pods, which it does not tell from others.
  return std::ranges::any_of(store.gateways, [&](const auto& entry) {
    const objects::Labels& selector = entry.second->selector;
    return !selector.empty() && selects(selector, pod.meta.labels);
  });
}

// One pod speaks for all of its owner's, in the owner's name: pods come and go.
std::map<Key, objects::Pod> gateway_groups(const Store& store) {
  std::map<Key, objects::Pod> out;
  if (store.gateways.empty()) return out;
  for (const auto& [key, pod] : store.pods) {
    if (is_finished(*pod) || !is_gateway_pod(store, *pod)) continue;
    const Key group{key.ns, owner_of(*pod)};
    if (out.size() >= kMaxGatewayGroups && !out.contains(group)) continue;
    const auto [there, fresh] = out.try_emplace(group, *pod);
    if (!fresh && objects::older(*pod, there->second)) there->second = *pod;
  }
  for (auto& [group, pod] : out) pod.meta.name = group.name;
  return out;
}

}  // namespace

std::map<Key, GatewayNotes> note_all_gateways(const Store& store, const Services& services,
                                              const VirtualServices& rules, Notes& notes) {
  std::map<Key, GatewayNotes> out;
  for (const auto& [group, pod] : gateway_groups(store)) {
    GatewayLayout made = make_gateway_layout(store, pod, services, rules, notes);
    for (auto& [key, said] : made.notes) {
      out[key].programmed.merge(said.programmed);
      out[key].invalid.merge(said.invalid);
    }
  }
  return out;
}

}  // namespace weft::state
