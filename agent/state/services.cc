#include "agent/state/services.h"

#include <algorithm>

#include "agent/state/protocol.h"

namespace weft::state {

std::string cluster_name(uint16_t port, const std::string& subset, const std::string& hostname) {
  return "outbound|" + std::to_string(port) + "|" + subset + "|" + hostname;
}

Services::Services(const Objects<objects::Service>& all, const DestinationRules& rules, Options options)
    : options_(std::move(options)) {
  for (const auto& [key, service] : all) {
    // An ExternalName is an alias in DNS: nothing here to balance over.
    if (service->type != objects::Service::Type::kExternalName) add_service(*service, rules);
  }
}

void Services::add_service(const objects::Service& object, const DestinationRules& rules) {
  const auto index = static_cast<uint32_t>(services.size());
  model::Service& out = services.emplace_back();
  out.name = object.meta.name;
  out.ns = object.meta.ns;
  out.hostname = service_hostname(out.name, out.ns, options_.domain);
  out.addresses = object.cluster_ips;
  out.headless = object.headless;
  out.affinity_seconds = object.client_ip_affinity ? object.affinity_seconds : 0;
  out.local_endpoints_only = object.internal_traffic_policy == objects::Service::TrafficPolicy::kLocal;
  objects_.push_back(&object);
  by_hostname_.emplace(out.hostname, index);

  for (uint32_t i = 0; i < object.ports.size(); ++i) {
    const objects::ServicePort& port = object.ports[i];
    if (port.protocol == objects::TransportProtocol::kSctp)
      continue;  // neither kernel half nor proxy carries it
    model::ServicePort made{.port = port.port, .node_port = port.node_port, .name = port.name};
    made.protocol = protocol_of(port).protocol;
    made.cluster = add_cluster(index, i, "", std::nullopt);
    services[index].ports.push_back(std::move(made));
  }
  const std::string hostname = services[index].hostname;
  add_subsets(index, rules.find(hostname, object.meta.ns, options_.client_ns), "");
  std::set<std::string>& special = special_clients_.emplace_back();
  if (!options_.tell_clients_apart) return;
  special = rules.special_clients(hostname, object.meta.ns);
  for (const std::string& client : special)
    add_subsets(index, rules.find(hostname, object.meta.ns, client), client);
}

void Services::add_subsets(uint32_t service, const RuleSet& rules, const std::string& client_ns) {
  for (uint32_t i = 0; i < objects_[service]->ports.size(); ++i) {
    const objects::ServicePort& port = objects_[service]->ports[i];
    if (port.protocol != objects::TransportProtocol::kTcp) continue;
    for (const auto& [name, labels] : rules.subsets) {
      subsets_.emplace(ClusterKey{service, port.port, name, client_ns},
                       add_cluster(service, i, name, labels));
    }
  }
}

uint32_t Services::add_cluster(uint32_t service, uint32_t port, const std::string& subset,
                               const std::optional<objects::Labels>& labels) {
  const objects::ServicePort& from = objects_[service]->ports[port];
  model::Cluster& out = clusters.emplace_back();
  out.name = cluster_name(from.port, subset, services[service].hostname);
  out.service = service;
  out.service_port = from.port;
  out.subset = subset;
  out.protocol = protocol_of(from).protocol;
  plans.push_back({store_key(*objects_[service]), port, labels});
  return static_cast<uint32_t>(clusters.size() - 1);
}

uint32_t Services::find(const std::string& hostname) const {
  const auto found = by_hostname_.find(hostname);
  return found == by_hostname_.end() ? model::kNone : found->second;
}

Resolved Services::resolve(const std::string& host, uint16_t port, const std::string& subset,
                           const std::string& rule_ns, const std::string& client_ns,
                           uint16_t listener_port) const {
  Resolved out;
  const std::string hostname = complete_host(host, rule_ns, options_.domain);
  const uint32_t service = find(hostname);
  if (service == model::kNone) {
    out.name = cluster_name(port == 0 ? listener_port : port, subset, hostname);
    out.missing =
        "no Service " + hostname + " (destination host \"" + host + "\"); create it or correct the host";
    return out;
  }
  const std::vector<model::ServicePort>& ports = services[service].ports;
  if (port == 0) port = ports.size() == 1 ? ports.front().port : listener_port;
  out.name = cluster_name(port, subset, hostname);
  const auto found = std::ranges::find_if(ports, [&](const model::ServicePort& p) {
    return p.port == port && p.protocol != model::Protocol::kUdp;
  });
  if (found == ports.end()) {
    out.missing =
        "Service " + hostname + " has no port " + std::to_string(port) + "; correct destination.port.number";
    return out;
  }
  if (subset.empty()) {
    out.cluster = found->cluster;
    return out;
  }
  const std::string view = special_clients_[service].contains(client_ns) ? client_ns : "";
  const auto cluster = subsets_.find({service, port, subset, view});
  if (cluster == subsets_.end()) {
    out.missing = "no DestinationRule for " + hostname + " defines subset \"" + subset + "\"" +
                  (view.empty() ? "" : " for callers in namespace " + view) +
                  "; add the subset to a DestinationRule in namespace " + services[service].ns;
    return out;
  }
  out.cluster = cluster->second;
  return out;
}

}  // namespace weft::state
