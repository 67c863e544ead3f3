#pragma once
// Kubernetes and Istio objects in one line each, as a test wants to write them.
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"

namespace weft::test {

using objects::Labels;

inline objects::Time at(int64_t seconds) {
  return objects::Time(std::chrono::seconds(1'700'000'000 + seconds));
}

inline base::Address ip(const std::string& text) {
  auto parsed = base::Address::parse(text);
  CHECK(parsed.has_value());
  return *parsed;
}

template <typename T>
std::shared_ptr<T> named(const std::string& ns, const std::string& name) {
  auto out = std::make_shared<T>();
  out->meta.ns = ns;
  out->meta.name = name;
  out->meta.creation = at(0);
  out->file = "test.yaml";
  return out;
}

inline std::shared_ptr<objects::Namespace> a_namespace(const std::string& name, Labels labels = {},
                                                       Labels annotations = {}) {
  auto out = named<objects::Namespace>("", name);
  out->meta.labels = std::move(labels);
  out->meta.annotations = std::move(annotations);
  return out;
}

struct PodArgs {
  std::string ip, node;
  Labels labels, annotations;
  std::string phase = "Running";
  std::string owner_kind, owner;
  std::string account = "default";
  bool host_network = false;
};
inline std::shared_ptr<objects::Pod> a_pod(const std::string& ns, const std::string& name,
                                           PodArgs args = {}) {
  auto out = named<objects::Pod>(ns, name);
  out->meta.uid = "uid-" + name;
  out->meta.labels = std::move(args.labels);
  out->meta.annotations = std::move(args.annotations);
  if (!args.owner.empty()) out->meta.owners.push_back({"apps/v1", args.owner_kind, args.owner, "", true});
  out->spec.node_name = args.node;
  out->spec.service_account = args.account;
  out->spec.host_network = args.host_network;
  out->status.phase = args.phase;
  if (!args.ip.empty()) out->status.pod_ips.push_back(ip(args.ip));
  return out;
}

inline objects::ServicePort a_port(const std::string& name, uint16_t port, uint16_t target = 0) {
  objects::ServicePort out;
  out.name = name;
  out.port = port;
  out.target_port.number = target == 0 ? port : target;
  return out;
}

inline std::shared_ptr<objects::Service> a_service(const std::string& ns, const std::string& name,
                                                   const std::string& address,
                                                   std::vector<objects::ServicePort> ports,
                                                   Labels selector = {}) {
  auto out = named<objects::Service>(ns, name);
  out->ports = std::move(ports);
  out->selector = std::move(selector);
  out->headless = address == "None";
  if (!address.empty() && !out->headless) out->cluster_ips.push_back(ip(address));
  return out;
}

inline objects::SliceEndpoint an_endpoint(const std::string& address, const std::string& ns = "",
                                          const std::string& pod = "") {
  objects::SliceEndpoint out;
  out.addresses.push_back(ip(address));
  if (!pod.empty()) out.target = {"Pod", ns, pod, "uid-" + pod};
  return out;
}

inline std::shared_ptr<objects::EndpointSlice> a_slice(const std::string& ns, const std::string& name,
                                                       const std::string& service,
                                                       std::vector<std::pair<std::string, uint16_t>> ports,
                                                       std::vector<objects::SliceEndpoint> endpoints) {
  auto out = named<objects::EndpointSlice>(ns, name);
  out->service_name = service;
  for (auto& [port_name, number] : ports) {
    objects::SlicePort port;
    port.name = port_name;
    port.port = number;
    out->ports.push_back(std::move(port));
  }
  out->endpoints = std::move(endpoints);
  return out;
}

inline std::shared_ptr<objects::DestinationRule> a_rule(
    const std::string& ns, const std::string& name, const std::string& host,
    std::initializer_list<std::pair<std::string, Labels>> subsets = {}) {
  auto out = named<objects::DestinationRule>(ns, name);
  out->host = host;
  for (const auto& [subset, labels] : subsets) out->subsets.push_back({subset, labels, {}});
  return out;
}

inline objects::GatewayServer a_server(uint16_t port, const std::string& protocol,
                                       std::vector<std::string> hosts) {
  objects::GatewayServer out;
  out.port = port;
  out.port_name = "p" + std::to_string(port);
  out.protocol = protocol;
  out.hosts = std::move(hosts);
  return out;
}

inline std::shared_ptr<objects::Gateway> a_gateway(const std::string& ns, const std::string& name,
                                                   Labels selector,
                                                   std::vector<objects::GatewayServer> servers) {
  auto out = named<objects::Gateway>(ns, name);
  out->selector = std::move(selector);
  out->servers = std::move(servers);
  return out;
}

inline objects::StringMatch exact(const std::string& value) {
  return {objects::StringMatch::Form::kExact, value};
}
inline objects::StringMatch prefix(const std::string& value) {
  return {objects::StringMatch::Form::kPrefix, value};
}

inline objects::HttpMatch on(objects::StringMatch uri) {
  objects::HttpMatch out;
  out.uri = std::move(uri);
  return out;
}

inline objects::HttpDestination to(const std::string& host, uint16_t port = 0, const std::string& subset = "",
                                   uint32_t weight = 0) {
  objects::HttpDestination out;
  out.host = host;
  out.port = port;
  out.subset = subset;
  out.weight = weight;
  return out;
}

inline objects::HttpRoute a_route(std::vector<objects::HttpMatch> match,
                                  std::vector<objects::HttpDestination> route) {
  objects::HttpRoute out;
  out.match = std::move(match);
  out.route = std::move(route);
  return out;
}

inline std::shared_ptr<objects::VirtualService> a_virtual_service(
    const std::string& ns, const std::string& name, std::vector<std::string> hosts,
    std::vector<objects::HttpRoute> http, std::vector<std::string> gateways = {"mesh"}) {
  auto out = named<objects::VirtualService>(ns, name);
  out->hosts = std::move(hosts);
  out->http = std::move(http);
  out->gateways = std::move(gateways);
  return out;
}

// The same object, made later: it loses every tie by age.
template <typename T>
std::shared_ptr<T> aged(std::shared_ptr<T> object, int64_t seconds) {
  object->meta.creation = at(seconds);
  return object;
}

}  // namespace weft::test
