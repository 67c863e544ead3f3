#pragma once
// The core Kubernetes kinds, with the fields that concern the mesh or the sandbox. Names follow the API.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/object.h"
#include "userspace-proxy/base/address.h"

namespace weft::objects {

struct Namespace : Object {
  static constexpr Kind kKind = Kind::kNamespace;
  Namespace() : Object(kKind) {}
  std::string phase;  // Active, Terminating
};

struct Condition {
  std::string type, status, reason, message;  // status: True, False, Unknown
  bool operator==(const Condition&) const = default;
};

// The kind Node (the name Node is the YAML tree's).
struct ClusterNode : Object {
  static constexpr Kind kKind = Kind::kNode;
  ClusterNode() : Object(kKind) {}
  std::vector<std::string> pod_cidrs;
  bool unschedulable = false;
  std::vector<base::Address> internal_ips;
  std::string hostname;
  std::vector<Condition> conditions;
};

struct ServiceAccount : Object {
  static constexpr Kind kKind = Kind::kServiceAccount;
  ServiceAccount() : Object(kKind) {}
};

// A number, or the name of a container port.
struct PortReference {
  uint16_t number = 0;  // 0: by name
  std::string name;
  bool operator==(const PortReference&) const = default;
};

enum class TransportProtocol : uint8_t { kTcp, kUdp, kSctp };
enum class IpFamily : uint8_t { kIpv4, kIpv6 };

struct ServicePort {
  std::string name, app_protocol;
  TransportProtocol protocol = TransportProtocol::kTcp;
  uint16_t port = 0;
  uint16_t node_port = 0;     // 0: none
  PortReference target_port;  // the port itself where the manifest says nothing
  Mark mark;
};

struct Service : Object {
  static constexpr Kind kKind = Kind::kService;
  Service() : Object(kKind) {}
  enum class Type : uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalName };
  enum class TrafficPolicy : uint8_t { kCluster, kLocal };

  Type type = Type::kClusterIp;
  Labels selector;  // empty: endpoints come from elsewhere
  std::vector<ServicePort> ports;
  std::vector<base::Address> cluster_ips;  // clusterIP and clusterIPs
  bool headless = false;                   // clusterIP: None
  std::vector<base::Address> external_ips;
  std::vector<base::Address> load_balancer_ips;  // status
  std::vector<IpFamily> ip_families;
  std::string ip_family_policy;
  std::string external_name;
  bool client_ip_affinity = false;
  uint32_t affinity_seconds = 10800;  // holds if client_ip_affinity
  TrafficPolicy internal_traffic_policy = TrafficPolicy::kCluster;
  TrafficPolicy external_traffic_policy = TrafficPolicy::kCluster;
  std::string traffic_distribution;  // PreferSameZone, PreferSameNode, PreferClose
  bool publish_not_ready_addresses = false;
};

struct TargetReference {
  std::string kind, ns, name, uid;
};

struct SliceEndpoint {
  std::vector<base::Address> addresses;
  // Absent conditions mean ready and serving, as in Kubernetes.
  bool ready = true, serving = true, terminating = false;
  std::string hostname, node_name, zone;
  TargetReference target;
  std::vector<std::string> hinted_zones, hinted_nodes;
};

struct SlicePort {
  std::string name, app_protocol;
  TransportProtocol protocol = TransportProtocol::kTcp;
  uint16_t port = 0;
};

struct EndpointSlice : Object {
  static constexpr Kind kKind = Kind::kEndpointSlice;
  EndpointSlice() : Object(kKind) {}
  IpFamily family = IpFamily::kIpv4;
  bool by_name = false;      // addressType FQDN: the addresses are names, weft uses none of them
  std::string service_name;  // label kubernetes.io/service-name
  std::vector<SliceEndpoint> endpoints;
  std::vector<SlicePort> ports;
};

}  // namespace weft::objects
