#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include "userspace-proxy/model/codec.h"
#include "userspace-proxy/model/snapshot.pb.h"

namespace weft::model {
namespace {

// kNone + 1 wraps to 0, the wire's "nothing".
uint32_t plus_one(uint32_t index) {
  return index + 1;
}

std::string address_bytes(const base::Address& address) {
  const char* bytes = reinterpret_cast<const char*>(address.bytes.data());
  return address.is_v4() ? std::string(bytes + 12, 4) : std::string(bytes, 16);
}

template <typename Repeated>
void put_labels(const Labels& labels, Repeated* out) {
  for (const auto& [key, value] : labels) {
    auto* label = out->Add();
    label->set_key(key);
    label->set_value(value);
  }
}

void put(const Workload& workload, wire::Workload* out) {
  out->set_name(workload.name);
  out->set_ns(workload.ns);
  out->set_service_account(workload.service_account);
  out->set_node(workload.node);
  out->set_uid(workload.uid);
  out->set_owner(workload.owner);
  out->set_canonical_name(workload.canonical_name);
  out->set_canonical_revision(workload.canonical_revision);
  out->set_host_ip(workload.host_ip);
  for (const auto& address : workload.addresses) out->add_addresses(address_bytes(address));
  put_labels(workload.labels, out->mutable_labels());
  out->set_enrolled(workload.enrolled);
  out->set_local(workload.local);
  out->set_host_network(workload.host_network);
  out->set_same_node_tls(workload.same_node_tls);
  out->mutable_excluded_ports()->Add(workload.excluded_ports.begin(), workload.excluded_ports.end());
}

void put(const Cluster& cluster, wire::Cluster* out) {
  out->set_name(cluster.name);
  out->set_service_plus_one(plus_one(cluster.service));
  out->set_service_port(cluster.service_port);
  out->set_subset(cluster.subset);
  out->set_protocol(static_cast<uint32_t>(cluster.protocol));
  for (const auto& endpoint : cluster.endpoints) {
    auto* one = out->add_endpoints();
    one->set_address(address_bytes(endpoint.address.address));
    one->set_port(endpoint.address.port);
    one->set_workload_plus_one(plus_one(endpoint.workload));
    one->set_weight(endpoint.weight);
  }
}

void put(const Service& service, wire::Service* out) {
  out->set_name(service.name);
  out->set_ns(service.ns);
  out->set_hostname(service.hostname);
  for (const auto& address : service.addresses) out->add_addresses(address_bytes(address));
  for (const auto& port : service.ports) {
    auto* one = out->add_ports();
    one->set_port(port.port);
    one->set_node_port(port.node_port);
    one->set_name(port.name);
    one->set_protocol(static_cast<uint32_t>(port.protocol));
    one->set_cluster_plus_one(plus_one(port.cluster));
    one->set_route_table_plus_one(plus_one(port.route_table));
  }
  out->set_affinity_seconds(service.affinity_seconds);
  out->set_local_endpoints_only(service.local_endpoints_only);
  out->set_headless(service.headless);
}

void put(const StringMatch& match, wire::StringMatch* out) {
  out->set_kind(static_cast<uint32_t>(match.kind));
  out->set_value(match.value);
}

void put(const NamedMatch& match, wire::NamedMatch* out) {
  out->set_name(match.name);
  put(match.match, out->mutable_match());
}

void put(const RouteMatch& match, wire::RouteMatch* out);
void put(const WeightedCluster& share, wire::WeightedCluster* out);
void put(const Route& route, wire::Route* out);
void put(const VirtualHost& host, wire::VirtualHost* out);
void put(const StringPattern& pattern, wire::StringPattern* out);
void put(const base::Cidr& range, wire::Cidr* out);
void put(const PolicyMatch& match, wire::PolicyMatch* out);
void put(const PolicyClause& clause, wire::PolicyClause* out);
void put(const PortMode& mode, wire::PortMode* out);

template <typename Item, typename Repeated>
void put_all(const std::vector<Item>& items, Repeated* out) {
  for (const auto& item : items) put(item, out->Add());
}

void put(const RouteMatch& match, wire::RouteMatch* out) {
  out->set_name(match.name);
  put_all(match.uri, out->mutable_uri());
  out->set_ignore_uri_case(match.ignore_uri_case);
  put_all(match.method, out->mutable_method());
  put_all(match.authority, out->mutable_authority());
  put_all(match.scheme, out->mutable_scheme());
  put_all(match.headers, out->mutable_headers());
  put_all(match.without_headers, out->mutable_without_headers());
  put_all(match.query, out->mutable_query());
  put_labels(match.source_labels, out->mutable_source_labels());
  out->set_source_namespace(match.source_namespace);
}

void put(const WeightedCluster& share, wire::WeightedCluster* out) {
  out->set_cluster_plus_one(plus_one(share.cluster));
  out->set_weight(share.weight);
  out->set_name(share.name);
}

void put(const Route& route, wire::Route* out) {
  out->set_name(route.name);
  out->set_source(route.source);
  put_all(route.matches, out->mutable_matches());
  put_all(route.clusters, out->mutable_clusters());
}

void put(const VirtualHost& host, wire::VirtualHost* out) {
  out->set_name(host.name);
  for (const auto& domain : host.domains) out->add_domains(domain);
  put_all(host.routes, out->mutable_routes());
}

void put(const RouteTable& table, wire::RouteTable* out) {
  out->set_name(table.name);
  put_all(table.hosts, out->mutable_hosts());
  out->set_fallback_cluster_plus_one(plus_one(table.fallback_cluster));
}

void put(const GatewayListener& listener, wire::GatewayListener* out) {
  out->set_service_port(listener.service_port);
  out->set_bind_port(listener.bind_port);
  out->set_protocol(static_cast<uint32_t>(listener.protocol));
  out->set_route_table_plus_one(plus_one(listener.route_table));
}

void put(const StringPattern& pattern, wire::StringPattern* out) {
  out->set_kind(static_cast<uint32_t>(pattern.kind));
  out->set_value(pattern.value);
}

void put(const base::Cidr& range, wire::Cidr* out) {
  out->set_address(address_bytes(range.address));
  out->set_prefix_length(range.prefix_length);
}

void put(const PolicyMatch& match, wire::PolicyMatch* out) {
  put_all(match.principals, out->mutable_principals());
  put_all(match.not_principals, out->mutable_not_principals());
  put_all(match.namespaces, out->mutable_namespaces());
  put_all(match.not_namespaces, out->mutable_not_namespaces());
  for (const auto& account : match.service_accounts) out->add_service_accounts(account);
  for (const auto& account : match.not_service_accounts) out->add_not_service_accounts(account);
  put_all(match.source_ranges, out->mutable_source_ranges());
  put_all(match.not_source_ranges, out->mutable_not_source_ranges());
  put_all(match.destination_ranges, out->mutable_destination_ranges());
  put_all(match.not_destination_ranges, out->mutable_not_destination_ranges());
  out->mutable_ports()->Add(match.ports.begin(), match.ports.end());
  out->mutable_not_ports()->Add(match.not_ports.begin(), match.not_ports.end());
}

void put(const PolicyClause& clause, wire::PolicyClause* out) {
  put_all(clause, out->mutable_matches());
}

void put(const PolicyRule& rule, wire::PolicyRule* out) {
  out->set_id(rule.id);
  out->set_source(rule.source);
  out->set_deny(rule.deny);
  out->set_dry_run(rule.dry_run);
  put_all(rule.clauses, out->mutable_clauses());
}

void put(const PortMode& mode, wire::PortMode* out) {
  out->set_port(mode.port);
  out->set_mode(static_cast<uint32_t>(mode.mode));
  out->set_source(mode.source);
}

void put(const LocalPod& pod, wire::LocalPod* out) {
  out->set_workload_plus_one(plus_one(pod.workload));
  out->set_peer_mode(static_cast<uint32_t>(pod.peer_mode));
  out->set_fail_mode(static_cast<uint32_t>(pod.fail_mode));
  out->set_inbound_proxy(pod.inbound_proxy);
  out->set_peer_mode_source(pod.peer_mode_source);
  put_all(pod.port_modes, out->mutable_port_modes());
  out->mutable_rules()->Add(pod.rules.begin(), pod.rules.end());
}

// One element of a top-level list, written as protobuf writes a repeated field: the whole tree never stands
// in memory.
template <typename Wire, typename Item>
void append(int field, const std::vector<Item>& items, google::protobuf::io::CodedOutputStream* out) {
  using google::protobuf::internal::WireFormatLite;
  Wire message;
  for (const auto& item : items) {
    message.Clear();
    put(item, &message);
    out->WriteTag(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
    out->WriteVarint32(static_cast<uint32_t>(message.ByteSizeLong()));
    message.SerializeWithCachedSizes(out);
  }
}

}  // namespace

std::string encode(const Snapshot& snapshot) {
  wire::Snapshot head;
  head.set_format(kSnapshotFormat);
  head.set_version(snapshot.version);
  head.set_role(static_cast<uint32_t>(snapshot.role));
  head.set_node(snapshot.node);
  head.mutable_settings()->set_access_log(snapshot.settings.access_log);
  head.mutable_settings()->set_cluster_domain(snapshot.settings.cluster_domain);
  head.mutable_settings()->set_trust_domain(snapshot.settings.trust_domain);
  head.mutable_settings()->set_mutual_tls(snapshot.settings.mutual_tls);
  head.set_self_plus_one(plus_one(snapshot.self));

  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  head.SerializeToCodedStream(&out);
  append<wire::Workload>(wire::Snapshot::kWorkloadsFieldNumber, snapshot.workloads, &out);
  append<wire::Service>(wire::Snapshot::kServicesFieldNumber, snapshot.services, &out);
  append<wire::Cluster>(wire::Snapshot::kClustersFieldNumber, snapshot.clusters, &out);
  append<wire::RouteTable>(wire::Snapshot::kRouteTablesFieldNumber, snapshot.route_tables, &out);
  append<wire::GatewayListener>(wire::Snapshot::kGatewayListenersFieldNumber, snapshot.gateway_listeners,
                                &out);
  append<wire::LocalPod>(wire::Snapshot::kLocalPodsFieldNumber, snapshot.local_pods, &out);
  append<wire::PolicyRule>(wire::Snapshot::kPolicyRulesFieldNumber, snapshot.policy_rules, &out);
  out.Trim();
  return bytes;
}

}  // namespace weft::model
