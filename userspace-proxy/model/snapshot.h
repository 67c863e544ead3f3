#pragma once
// What a node knows, as one immutable value. The agent builds it, the kernel tables and the proxies are made from it.
// A connection pins the Snapshot it began with. Lists refer to each other by index; kNone means "nothing".
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/model/policy.h"

namespace weft::model {

inline constexpr uint32_t kNone = UINT32_MAX;
using Labels = std::map<std::string, std::string>;

// How a port speaks, from Service appProtocol or the port's name (Istio's rules, reference http-semantics 11.1).
enum class Protocol : uint8_t { kTcp, kHttp, kHttp2, kGrpc, kTls, kUdp };
[[nodiscard]] constexpr bool is_http(Protocol p) {
  return p == Protocol::kHttp || p == Protocol::kHttp2 || p == Protocol::kGrpc;
}

// A pod.
struct Workload {
  std::string name, ns, service_account, node;
  std::string uid;                                     // tells two pods of one name apart; agent only
  std::string owner;                                   // Deployment name etc.: source_workload in metrics
  std::string canonical_name, canonical_revision;      // metric labels
  std::string host_ip;
  std::vector<base::Address> addresses;
  Labels labels;                                       // of local ones: conditions of routes on their callers
  bool enrolled = false;                               // captured by the mesh
  bool local = false;                                  // on this Snapshot's node
  bool host_network = false;
  bool same_node_tls = false;                          // asks for TLS between pods of one node as well (D14)
  // Calls to these ports go around the mesh though it is enrolled; ascending, each once; 0 alone: to every port.
  std::vector<uint16_t> excluded_ports;
  auto operator<=>(const Workload&) const = default;
};

struct Endpoint {
  base::SocketAddress address;
  uint32_t workload = kNone;   // into Snapshot::workloads; kNone for addresses nobody knows
  uint32_t weight = 1;
  auto operator<=>(const Endpoint&) const = default;
};

// A set of ready endpoints the proxy can dial: one service port, all of it or one subset.
struct Cluster {
  std::string name;            // "outbound|8888|v1|httpgo.dev.svc.cluster.local"
  uint32_t service = kNone;    // into Snapshot::services
  uint16_t service_port = 0;
  std::string subset;          // empty: all endpoints
  Protocol protocol = Protocol::kTcp;   // how to speak to the endpoints
  std::vector<Endpoint> endpoints;
  auto operator<=>(const Cluster&) const = default;
};

struct ServicePort {
  uint16_t port = 0;
  uint16_t node_port = 0;
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint32_t cluster = kNone;    // the subset-less cluster of this port
  uint32_t route_table = kNone;  // kNone: no L7 routing for in-mesh callers, the kernel or the L4 relay carries it
  auto operator<=>(const ServicePort&) const = default;
};

struct Service {
  std::string name, ns, hostname;        // hostname: name.ns.svc.cluster.local
  std::vector<base::Address> addresses;  // cluster IPs; empty for headless
  std::vector<ServicePort> ports;
  uint32_t affinity_seconds = 0;         // sessionAffinity ClientIP; 0 means none
  bool local_endpoints_only = false;     // internalTrafficPolicy: Local
  bool headless = false;
  auto operator<=>(const Service&) const = default;
};

// Exactly one of the three forms (Istio StringMatch). `regex` is RE2 syntax and matches the whole value.
struct StringMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kRegex, kPresent };
  Kind kind = Kind::kPresent;
  std::string value;
  auto operator<=>(const StringMatch&) const = default;
};

struct NamedMatch {
  std::string name;  // lower case for headers
  StringMatch match;
  auto operator<=>(const NamedMatch&) const = default;
};

// All fields that are present must match (AND). What is decided at configuration time (port, gateways) is not here.
struct RouteMatch {
  std::string name;
  std::vector<StringMatch> uri;        // none or one
  bool ignore_uri_case = false;
  std::vector<StringMatch> method, authority, scheme;  // none or one each
  std::vector<NamedMatch> headers, without_headers, query;
  Labels source_labels;                // of the calling pod
  std::string source_namespace;        // empty: any
  auto operator<=>(const RouteMatch&) const = default;
};

struct WeightedCluster {
  uint32_t cluster = kNone;   // kNone: unknown service or subset -> 503 NC for its share
  uint32_t weight = 0;
  std::string name;           // cluster name as written, for the log, also when it is unknown
  auto operator<=>(const WeightedCluster&) const = default;
};

struct Route {
  std::string name;
  std::string source;                  // "VirtualService dev/httpgo http[0]": named in tools and refusals
  std::vector<RouteMatch> matches;     // OR; none means everything
  std::vector<WeightedCluster> clusters;  // none: 404 NR, as if no route had matched
  auto operator<=>(const Route&) const = default;
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;    // exact, "*.suffix" or "*"; lower case, no port
  std::vector<Route> routes;           // first match wins
  auto operator<=>(const VirtualHost&) const = default;
};

// Virtual host by Host header: exact, then longest wildcard suffix, then "*"; none means 404 NR.
struct RouteTable {
  std::string name;                    // "http.80" on a gateway, "httpgo.dev.svc.cluster.local:8888" in the mesh
  std::vector<VirtualHost> hosts;
  // In-mesh tables: a request that no host matches goes here (the service the caller addressed). kNone: 404.
  uint32_t fallback_cluster = kNone;
  auto operator<=>(const RouteTable&) const = default;
};

// A port that a gateway opens, on every address of its pod.
struct GatewayListener {
  uint16_t service_port = 0;           // what the Gateway object says
  uint16_t bind_port = 0;              // the Service's target port
  Protocol protocol = Protocol::kHttp;
  uint32_t route_table = kNone;
  auto operator<=>(const GatewayListener&) const = default;
};

enum class FailMode : uint8_t { kClosed, kOpen };

// An enrolled pod of this node.
struct LocalPod {
  uint32_t workload = kNone;
  PeerMode peer_mode = PeerMode::kPermissive;
  std::string peer_mode_source;                // who says so; empty: the default
  std::vector<PortMode> port_modes;            // by port, ascending, each once
  FailMode fail_mode = FailMode::kClosed;      // what new connections do while no proxy listens
  bool inbound_proxy = false;                  // every arrival goes through the proxy (L7 telemetry or policy asks)
  std::vector<uint32_t> rules;                 // into Snapshot::policy_rules, in the order of their objects
  // Its own calls to these ports, or into these ranges, go around the mesh. Ascending; bits beyond a prefix are zero.
  // For the kernel's tables alone, not on the wire: what is excluded never comes to a proxy.
  std::vector<uint16_t> excluded_ports;
  std::vector<base::Cidr> excluded_ranges;
  auto operator<=>(const LocalPod&) const = default;
};

enum class Role : uint8_t { kNode, kGateway };

struct Settings {
  bool access_log = false;
  std::string cluster_domain = "cluster.local";
  std::string trust_domain = "cluster.local";
  bool mutual_tls = false;  // the mesh has a CA: calls between nodes go over HBONE or not at all
  auto operator<=>(const Settings&) const = default;
};

struct Snapshot {
  uint64_t version = 0;        // grows with every publication of one agent process
  Role role = Role::kNode;
  std::string node;
  Settings settings;
  std::vector<Workload> workloads;
  std::vector<Service> services;
  std::vector<Cluster> clusters;
  std::vector<RouteTable> route_tables;
  std::vector<GatewayListener> gateway_listeners;  // gateway role only
  uint32_t self = kNone;                           // gateway role: its own pod in `workloads`
  std::vector<LocalPod> local_pods;                // node role only
  std::vector<PolicyRule> policy_rules;            // those that `local_pods` point at
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

// "ns/name"
[[nodiscard]] std::string key_of(const Workload& workload);
// Whether calls to this port of the pod go around the mesh.
[[nodiscard]] bool excludes(const Workload& workload, uint16_t port);
// Whether calls from `source` to `port` of `destination` (into workloads; kNone: nobody known) go over HBONE or not at
// all: the mesh has a CA, and the destination is enrolled, on another node or with a wish for TLS on one node, and does
// not exclude the port.
[[nodiscard]] bool needs_tunnel(const Snapshot& snapshot, uint32_t source, uint32_t destination, uint16_t port);
[[nodiscard]] SpiffeId spiffe_id_of(const Workload& workload, const Settings& settings);
// "spiffe://<trust domain>/ns/<ns>/sa/<sa>"
[[nodiscard]] std::string identity_of(const Workload& workload, const Settings& settings);

}  // namespace weft::model
