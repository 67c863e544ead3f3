// Bytes -> Snapshot. Top-level lists are read element by element, so that a hostile length or count is felt
// before memory is spent on it: no element is larger than kMaxElement, no list longer than its bound.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>

#include "userspace-proxy/model/codec.h"
#include "userspace-proxy/model/limits.h"
#include "userspace-proxy/model/snapshot.pb.h"

namespace weft::model {
namespace {

using base::ErrorKind;
using base::Status;
using google::protobuf::internal::WireFormatLite;

Status broken(std::string_view what) {
  return base::fail(ErrorKind::kInvalid, std::string(what));
}

// 0, the wire's "nothing", wraps to kNone.
uint32_t index_of(uint32_t plus_one) {
  return plus_one - 1;
}

Status get_address(const std::string& bytes, base::Address* out) {
  if (bytes.size() == 4) {
    *out = base::Address::v4(0);
    std::copy(bytes.begin(), bytes.end(), out->bytes.begin() + 12);
    return {};
  }
  if (bytes.size() != 16) return broken(fmt::format("an address of {} bytes", bytes.size()));
  std::copy(bytes.begin(), bytes.end(), out->bytes.begin());
  return {};
}

template <typename Enum>
Status get_enum(uint32_t value, Enum last, std::string_view what, Enum* out) {
  if (value > static_cast<uint32_t>(last)) return broken(fmt::format("{} {} is unknown", what, value));
  *out = static_cast<Enum>(value);
  return {};
}

Status get_port(uint32_t value, uint16_t* out) {
  if (value > UINT16_MAX) return broken(fmt::format("port {} is too large", value));
  *out = static_cast<uint16_t>(value);
  return {};
}

// Wire messages -> model values. What the values take in memory is charged to one budget, since two bytes of
// wire can stand for hundreds here.
class Converter {
 public:
  template <typename Repeated>
  Status get_labels(const Repeated& labels, Labels* out) {
    TRY(spend<Labels::value_type>(labels.size()));
    for (const auto& label : labels) {
      if (!out->emplace(label.key(), label.value()).second)
        return broken(fmt::format("label {} stands twice", label.key()));
    }
    return {};
  }

  template <typename Repeated>
  Status get_addresses(const Repeated& addresses, std::vector<base::Address>* out) {
    TRY(spend<base::Address>(addresses.size()));
    for (const auto& address : addresses) TRY(get_address(address, &out->emplace_back()));
    return {};
  }

  template <typename Repeated>
  Status get_texts(const Repeated& texts, std::vector<std::string>* out) {
    TRY(spend<std::string>(texts.size()));
    out->assign(texts.begin(), texts.end());
    return {};
  }

  Status get(const wire::Workload& in, Workload* out) {
    out->name = in.name();
    out->ns = in.ns();
    out->service_account = in.service_account();
    out->node = in.node();
    out->uid = in.uid();
    out->owner = in.owner();
    out->canonical_name = in.canonical_name();
    out->canonical_revision = in.canonical_revision();
    out->host_ip = in.host_ip();
    TRY(get_addresses(in.addresses(), &out->addresses));
    TRY(get_labels(in.labels(), &out->labels));
    out->enrolled = in.enrolled();
    out->local = in.local();
    out->host_network = in.host_network();
    out->same_node_tls = in.same_node_tls();
    return get_ports(in.excluded_ports(), &out->excluded_ports);
  }

  Status get(const wire::Cluster& in, Cluster* out) {
    out->name = in.name();
    out->service = index_of(in.service_plus_one());
    TRY(get_port(in.service_port(), &out->service_port));
    out->subset = in.subset();
    TRY(get_enum(in.protocol(), Protocol::kUdp, "protocol", &out->protocol));
    return get_all(in.endpoints(), &out->endpoints);
  }

  Status get(const wire::Endpoint& in, Endpoint* out) {
    TRY(get_address(in.address(), &out->address.address));
    TRY(get_port(in.port(), &out->address.port));
    out->workload = index_of(in.workload_plus_one());
    out->weight = in.weight();
    return {};
  }

  Status get(const wire::ServicePort& in, ServicePort* out) {
    TRY(get_port(in.port(), &out->port));
    TRY(get_port(in.node_port(), &out->node_port));
    out->name = in.name();
    TRY(get_enum(in.protocol(), Protocol::kUdp, "protocol", &out->protocol));
    out->cluster = index_of(in.cluster_plus_one());
    out->route_table = index_of(in.route_table_plus_one());
    return {};
  }

  template <typename Repeated, typename Item>
  Status get_all(const Repeated& in, std::vector<Item>* out) {
    TRY(spend<Item>(in.size()));
    out->reserve(in.size());
    for (const auto& item : in) TRY(get(item, &out->emplace_back()));
    return {};
  }

  Status get(const wire::Service& in, Service* out) {
    out->name = in.name();
    out->ns = in.ns();
    out->hostname = in.hostname();
    TRY(get_addresses(in.addresses(), &out->addresses));
    TRY(get_all(in.ports(), &out->ports));
    out->affinity_seconds = in.affinity_seconds();
    out->local_endpoints_only = in.local_endpoints_only();
    out->headless = in.headless();
    return {};
  }

  Status get(const wire::StringMatch& in, StringMatch* out) {
    TRY(get_enum(in.kind(), StringMatch::Kind::kPresent, "match kind", &out->kind));
    out->value = in.value();
    return {};
  }

  Status get(const wire::NamedMatch& in, NamedMatch* out) {
    out->name = in.name();
    return get(in.match(), &out->match);
  }

  Status get(const wire::RouteMatch& in, RouteMatch* out) {
    out->name = in.name();
    TRY(get_all(in.uri(), &out->uri));
    out->ignore_uri_case = in.ignore_uri_case();
    TRY(get_all(in.method(), &out->method));
    TRY(get_all(in.authority(), &out->authority));
    TRY(get_all(in.scheme(), &out->scheme));
    TRY(get_all(in.headers(), &out->headers));
    TRY(get_all(in.without_headers(), &out->without_headers));
    TRY(get_all(in.query(), &out->query));
    TRY(get_labels(in.source_labels(), &out->source_labels));
    out->source_namespace = in.source_namespace();
    return {};
  }

  Status get(const wire::WeightedCluster& in, WeightedCluster* out) {
    out->cluster = index_of(in.cluster_plus_one());
    out->weight = in.weight();
    out->name = in.name();
    return {};
  }

  Status get(const wire::Route& in, Route* out) {
    out->name = in.name();
    out->source = in.source();
    TRY(get_all(in.matches(), &out->matches));
    return get_all(in.clusters(), &out->clusters);
  }

  Status get(const wire::VirtualHost& in, VirtualHost* out) {
    out->name = in.name();
    TRY(get_texts(in.domains(), &out->domains));
    return get_all(in.routes(), &out->routes);
  }

  Status get(const wire::RouteTable& in, RouteTable* out) {
    out->name = in.name();
    TRY(get_all(in.hosts(), &out->hosts));
    out->fallback_cluster = index_of(in.fallback_cluster_plus_one());
    return {};
  }

  Status get(const wire::GatewayListener& in, GatewayListener* out) {
    TRY(get_port(in.service_port(), &out->service_port));
    TRY(get_port(in.bind_port(), &out->bind_port));
    TRY(get_enum(in.protocol(), Protocol::kUdp, "protocol", &out->protocol));
    out->route_table = index_of(in.route_table_plus_one());
    return {};
  }

  Status get(const wire::Cidr& in, base::Cidr* out) {
    TRY(get_address(in.address(), &out->address));
    if (in.prefix_length() > 128) return broken(fmt::format("a prefix of {} bits", in.prefix_length()));
    out->prefix_length = static_cast<uint8_t>(in.prefix_length());
    return {};
  }

  template <typename Repeated>
  Status get_ports(const Repeated& in, std::vector<uint16_t>* out) {
    TRY(spend<uint16_t>(in.size()));
    for (const uint32_t port : in) TRY(get_port(port, &out->emplace_back()));
    return {};
  }

  Status get(const wire::StringPattern& in, StringPattern* out) {
    TRY(get_enum(in.kind(), StringPattern::Kind::kPresent, "pattern kind", &out->kind));
    out->value = in.value();
    return {};
  }

  Status get(const wire::PolicyMatch& in, PolicyMatch* out) {
    TRY(get_all(in.principals(), &out->principals));
    TRY(get_all(in.not_principals(), &out->not_principals));
    TRY(get_all(in.namespaces(), &out->namespaces));
    TRY(get_all(in.not_namespaces(), &out->not_namespaces));
    TRY(get_texts(in.service_accounts(), &out->service_accounts));
    TRY(get_texts(in.not_service_accounts(), &out->not_service_accounts));
    TRY(get_all(in.source_ranges(), &out->source_ranges));
    TRY(get_all(in.not_source_ranges(), &out->not_source_ranges));
    TRY(get_all(in.destination_ranges(), &out->destination_ranges));
    TRY(get_all(in.not_destination_ranges(), &out->not_destination_ranges));
    TRY(get_ports(in.ports(), &out->ports));
    return get_ports(in.not_ports(), &out->not_ports);
  }

  Status get(const wire::PolicyClause& in, PolicyClause* out) { return get_all(in.matches(), out); }

  Status get(const wire::PolicyRule& in, PolicyRule* out) {
    out->id = in.id();
    out->source = in.source();
    out->deny = in.deny();
    out->dry_run = in.dry_run();
    return get_all(in.clauses(), &out->clauses);
  }

  Status get(const wire::PortMode& in, PortMode* out) {
    TRY(get_port(in.port(), &out->port));
    TRY(get_enum(in.mode(), PeerMode::kStrict, "peer mode", &out->mode));
    out->source = in.source();
    return {};
  }

  Status get(const wire::LocalPod& in, LocalPod* out) {
    out->workload = index_of(in.workload_plus_one());
    TRY(get_enum(in.peer_mode(), PeerMode::kStrict, "peer mode", &out->peer_mode));
    TRY(get_enum(in.fail_mode(), FailMode::kOpen, "fail mode", &out->fail_mode));
    out->inbound_proxy = in.inbound_proxy();
    out->peer_mode_source = in.peer_mode_source();
    TRY(get_all(in.port_modes(), &out->port_modes));
    TRY(spend<uint32_t>(in.rules_size()));
    out->rules.assign(in.rules().begin(), in.rules().end());
    return {};
  }

  Status get_head(const wire::Snapshot& in, Snapshot* out) {
    if (in.format() != kSnapshotFormat)
      return broken(fmt::format("format {}, this program reads {}", in.format(), kSnapshotFormat));
    out->version = in.version();
    TRY(get_enum(in.role(), Role::kGateway, "role", &out->role));
    out->node = in.node();
    out->settings = {in.settings().access_log(), in.settings().cluster_domain(),
                     in.settings().trust_domain(), in.settings().mutual_tls()};
    out->self = index_of(in.self_plus_one());
    return {};
  }

 private:
  template <typename Item>
  Status spend(int count) {
    const size_t items = static_cast<size_t>(count);
    if (items > kMaxList) return broken(fmt::format("a list of {}, at most {}", items, kMaxList));
    if (items * sizeof(Item) > budget_) return broken("it would take too much memory");
    budget_ -= items * sizeof(Item);
    return {};
  }

  size_t budget_ = kMaxDecodedBytes;
};

// Walks the top-level fields. Scalars and settings are gathered and parsed together at the end.
class Reader {
 public:
  explicit Reader(std::string_view bytes)
      : bytes_(bytes), in_(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size())) {}

  Status read(Snapshot* out) {
    while (const uint32_t tag = in_.ReadTag()) {
      const int field = WireFormatLite::GetTagFieldNumber(tag);
      if (field < wire::Snapshot::kWorkloadsFieldNumber || field > wire::Snapshot::kPolicyRulesFieldNumber) {
        TRY(keep_head(tag));
        continue;
      }
      if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED)
        return broken(fmt::format("field {} has the wrong wire type", field));
      TRY(read_element(field, out));
    }
    if (!in_.ConsumedEntireMessage()) return broken("the bytes end within a field");
    wire::Snapshot head;
    if (!head.ParseFromString(head_)) return broken("the head does not parse");
    return convert_.get_head(head, out);
  }

 private:
  Status keep_head(uint32_t tag) {
    google::protobuf::io::StringOutputStream stream(&head_);
    google::protobuf::io::CodedOutputStream out(&stream);
    if (!WireFormatLite::SkipField(&in_, tag, &out)) return broken("the bytes end within a field");
    out.Trim();
    if (head_.size() > kMaxHead) return broken("the head is too large");
    return {};
  }

  Status read_element(int field, Snapshot* out) {
    uint32_t length = 0;
    if (!in_.ReadVarint32(&length)) return broken("the bytes end within a field");
    if (length > kMaxElement)
      return broken(fmt::format("field {} holds an element of {} bytes", field, length));
    const auto start = static_cast<size_t>(in_.CurrentPosition());
    if (!in_.Skip(static_cast<int>(length))) return broken("the bytes end within a field");
    const std::string_view element = bytes_.substr(start, length);
    switch (field) {
      case wire::Snapshot::kWorkloadsFieldNumber:
        return add<wire::Workload>("workloads", element, kMaxWorkloads, &out->workloads);
      case wire::Snapshot::kServicesFieldNumber:
        return add<wire::Service>("services", element, kMaxServices, &out->services);
      case wire::Snapshot::kClustersFieldNumber:
        return add<wire::Cluster>("clusters", element, kMaxClusters, &out->clusters);
      case wire::Snapshot::kRouteTablesFieldNumber:
        return add<wire::RouteTable>("route_tables", element, kMaxRouteTables, &out->route_tables);
      case wire::Snapshot::kGatewayListenersFieldNumber:
        return add<wire::GatewayListener>("gateway_listeners", element, kMaxGatewayListeners,
                                          &out->gateway_listeners);
      case wire::Snapshot::kLocalPodsFieldNumber:
        return add<wire::LocalPod>("local_pods", element, kMaxLocalPods, &out->local_pods);
      default:
        return add<wire::PolicyRule>("policy_rules", element, kMaxPolicyRules, &out->policy_rules);
    }
  }

  template <typename Wire, typename Item>
  Status add(std::string_view list, std::string_view element, size_t bound, std::vector<Item>* out) {
    const size_t index = out->size();
    if (index >= bound) return broken(fmt::format("{}: more than {}", list, bound));
    Wire message;
    if (!message.ParseFromArray(element.data(), static_cast<int>(element.size())))
      return broken(fmt::format("{}[{}] does not parse", list, index));
    if (auto got = convert_.get(message, &out->emplace_back()); !got)
      return broken(fmt::format("{}[{}]: {}", list, index, got.error().what));
    return {};
  }

  std::string_view bytes_;
  google::protobuf::io::CodedInputStream in_;
  std::string head_;
  Converter convert_;
};

}  // namespace

base::Result<SnapshotPtr> decode(std::string_view bytes) {
  if (bytes.size() > kMaxSnapshotBytes)
    return base::fail(ErrorKind::kLimit,
                      fmt::format("snapshot: {} bytes, at most {}", bytes.size(), kMaxSnapshotBytes));
  auto snapshot = std::make_shared<Snapshot>();
  if (auto read = Reader(bytes).read(snapshot.get()); !read)
    return base::fail(read.error().kind, "snapshot: " + read.error().what);
  TRY(validate(*snapshot));
  return snapshot;
}

}  // namespace weft::model
