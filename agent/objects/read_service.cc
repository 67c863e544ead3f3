// Service, and the rules of the Kubernetes API server for it.
#include <fmt/format.h>

#include <set>

#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

Service::Type read_type(const std::string& word) {
  if (word == "NodePort") return Service::Type::kNodePort;
  if (word == "LoadBalancer") return Service::Type::kLoadBalancer;
  if (word == "ExternalName") return Service::Type::kExternalName;
  return Service::Type::kClusterIp;
}

Service::TrafficPolicy read_policy(const Node& spec, std::string_view key) {
  return text(spec, key) == "Local" ? Service::TrafficPolicy::kLocal : Service::TrafficPolicy::kCluster;
}

ServicePort read_port(const Node& node, const std::string& path, const Service& service, Report& report) {
  ServicePort port;
  port.name = text(node, "name");
  port.app_protocol = text(node, "appProtocol");
  port.protocol = read_protocol(node, path, report);
  port.port = static_cast<uint16_t>(number(node, "port"));
  port.node_port = static_cast<uint16_t>(number(node, "nodePort"));
  port.target_port = {.number = port.port};
  port.mark = node.mark();
  const Node& target = get(node, "targetPort");
  const bool given = !target.is_null() && !(target.kind() == Node::Kind::kInt && target.as_int() == 0);
  if (given) port.target_port = read_port_reference(target, path + ".targetPort", report);
  if (!port.name.empty() && !is_dns_label(port.name))
    report.invalid(path + ".name", get(node, "name"),
                   fmt::format("expected a port name of lower-case letters, digits and '-', found {}",
                               describe(get(node, "name"))));
  const bool has_node_ports =
      service.type == Service::Type::kNodePort || service.type == Service::Type::kLoadBalancer;
  if (port.node_port != 0 && !has_node_ports)
    report.invalid(path + ".nodePort", get(node, "nodePort"),
                   "a nodePort needs type NodePort or LoadBalancer");
  return port;
}

void check_ports_differ(const Node& ports, const Service& service, Report& report) {
  std::set<std::string> names;
  std::set<std::pair<TransportProtocol, uint16_t>> numbers;
  for (size_t i = 0; i < service.ports.size(); ++i) {
    const ServicePort& port = service.ports[i];
    const Node& node = ports.items()[i];
    const std::string path = item_path("spec.ports", i);
    if (port.name.empty() && service.ports.size() > 1)
      report.error("MissingField", path, node.mark(), "a Service with several ports must name each of them");
    if (!port.name.empty() && !names.insert(port.name).second)
      report.invalid(path + ".name", get(node, "name"),
                     fmt::format("the port name \"{}\" occurs twice", port.name));
    if (!numbers.emplace(port.protocol, port.port).second)
      report.invalid(path + ".port", get(node, "port"), fmt::format("the port {} occurs twice", port.port));
  }
}

void read_cluster_ips(const Node& spec, Service& service, Report& report) {
  const Node& first = get(spec, "clusterIP");
  const Node& all = get(spec, "clusterIPs");
  service.headless =
      first.as_string() == "None" || (!all.items().empty() && all.items()[0].as_string() == "None");
  if (service.headless) return;
  for (size_t i = 0; i < all.items().size(); ++i) {
    const auto address = read_address(all.items()[i], item_path("spec.clusterIPs", i), report);
    if (address) service.cluster_ips.push_back(*address);
  }
  if (first.as_string().empty()) return;
  const auto address = read_address(first, "spec.clusterIP", report);
  if (!address) return;
  if (service.cluster_ips.empty()) service.cluster_ips.push_back(*address);
  if (service.cluster_ips.front() != *address)
    report.invalid("spec.clusterIPs", all, "the first of clusterIPs must be the address in clusterIP");
}

void read_affinity(const Node& spec, Service& service, Report& report) {
  service.client_ip_affinity = text(spec, "sessionAffinity") == "ClientIP";
  const Node& timeout = spec.at({"sessionAffinityConfig", "clientIP", "timeoutSeconds"});
  if (timeout.is_null()) return;
  service.affinity_seconds = static_cast<uint32_t>(timeout.as_int());
  if (!service.client_ip_affinity)
    report.invalid("spec.sessionAffinityConfig", get(spec, "sessionAffinityConfig"),
                   "sessionAffinityConfig needs sessionAffinity: ClientIP");
}

void read_addresses(const Node& root, Service& service, Report& report) {
  const Node& spec = get(root, "spec");
  const Node& external = get(spec, "externalIPs");
  for (size_t i = 0; i < external.items().size(); ++i) {
    const auto address = read_address(external.items()[i], item_path("spec.externalIPs", i), report);
    if (address) service.external_ips.push_back(*address);
  }
  const Node& ingress = root.at({"status", "loadBalancer", "ingress"});
  for (size_t i = 0; i < ingress.items().size(); ++i) {
    const Node& ip = get(ingress.items()[i], "ip");
    if (ip.as_string().empty()) continue;
    const auto address = read_address(ip, item_path("status.loadBalancer.ingress", i) + ".ip", report);
    if (address) service.load_balancer_ips.push_back(*address);
  }
}

void check_type(const Node& spec, const Service& service, Report& report) {
  const bool external = service.type == Service::Type::kExternalName;
  if (external && !is_host_name(service.external_name))
    report.error("MissingField", "spec", spec.mark(), "type ExternalName needs a host name in externalName");
  if (external)
    report.unsupported_value("spec.type", get(spec, "type"),
                             "weft does not route to ExternalName services yet");
  if (!external && !service.headless && service.ports.empty())
    report.error("MissingField", "spec", spec.mark(), "the field \"ports\" is missing, a list is expected");
}

}  // namespace

std::shared_ptr<Object> read_service(const Node& root, Report& report) {
  auto service = std::make_shared<Service>();
  const Node& spec = get(root, "spec");
  service->type = read_type(text(spec, "type"));
  service->selector = read_labels(spec, "selector", "spec.selector", report);
  const Node& ports = get(spec, "ports");
  for (size_t i = 0; i < ports.items().size(); ++i)
    service->ports.push_back(read_port(ports.items()[i], item_path("spec.ports", i), *service, report));
  check_ports_differ(ports, *service, report);
  read_cluster_ips(spec, *service, report);
  read_addresses(root, *service, report);
  for (const std::string& family : texts(spec, "ipFamilies"))
    service->ip_families.push_back(family == "IPv6" ? IpFamily::kIpv6 : IpFamily::kIpv4);
  service->ip_family_policy = text(spec, "ipFamilyPolicy");
  service->external_name = text(spec, "externalName");
  read_affinity(spec, *service, report);
  service->internal_traffic_policy = read_policy(spec, "internalTrafficPolicy");
  service->external_traffic_policy = read_policy(spec, "externalTrafficPolicy");
  service->traffic_distribution = text(spec, "trafficDistribution");
  service->publish_not_ready_addresses = flag(spec, "publishNotReadyAddresses");
  check_type(spec, *service, report);
  return service;
}

}  // namespace weft::objects
