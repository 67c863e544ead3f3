#include "userspace-proxy/identify/identify.h"

#include <algorithm>
#include <cmath>

namespace weft::identify {
namespace {

constexpr uint16_t kSelfTestPort = 15021;

void name_outbound(const Index& index, ConnInfo& info) {
  info.source = index.workload_named(info.pod);
  if (info.source != model::kNone)
    info.proven = model::spiffe_id_of(index.snapshot().workloads[info.source], index.snapshot().settings);
  const ServiceRef ref = index.service_at(info.original);
  if (ref.service == model::kNone) {
    info.destination = index.workload_at(info.original.address);
    return;
  }
  const auto& port = index.snapshot().services[ref.service].ports[ref.port];
  info.service = ref.service;
  info.port = ref.port;
  info.service_port = port.port;
  info.cluster = port.cluster;
  info.route_table = port.route_table;
  info.protocol = port.protocol;
}

// The kernel vouches for pods of this node only; a Snapshot that does not know the pod (any more) names nobody.
void prove_attested(const Index& index, ConnInfo& info) {
  if (index.local_pod(info.source) == nullptr) return;
  info.proven = model::spiffe_id_of(index.snapshot().workloads[info.source], index.snapshot().settings);
}

void prove_by_certificate(const Index& index, const model::SpiffeId& proven, ConnInfo& info) {
  info.tunnelled = true;
  info.proven = proven;
  if (info.source == model::kNone) return;
  const auto& snapshot = index.snapshot();
  if (model::spiffe_id_of(snapshot.workloads[info.source], snapshot.settings) != proven) info.source = model::kNone;
}

void name_inbound(const Index& index, const Arrival& arrival, ConnInfo& info) {
  info.source = index.workload_at(info.peer.address);
  if (arrival.proven != nullptr) prove_by_certificate(index, *arrival.proven, info);
  if (arrival.proven == nullptr && info.kind == listen::Kind::kAttested) prove_attested(index, info);
  info.destination = index.workload_named(info.pod);
  // For telemetry: a socket does not tell what was addressed, a tunnel's peer claims it.
  info.service = index.service_behind(info.original, arrival.claimed_service);
}

void name_gateway(const Index& index, ConnInfo& info) {
  info.pod.clear();
  info.source = index.snapshot().self;
  if (const auto* listener = index.gateway_listener(info.original.port)) {
    info.service_port = listener->service_port;
    info.protocol = listener->protocol;
    info.route_table = listener->route_table;
  }
}

uint64_t mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27) * 0x94d049bb133111ebU;
  return value ^ value >> 31;
}

// FNV-1a: the same in every process, unlike std::hash.
uint64_t hash_bytes(uint64_t seed, std::string_view bytes) {
  for (const char c : bytes) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return seed;
}

// Weighted rendezvous hashing: the endpoint with the greatest -weight / ln(u).
const model::Endpoint* sticky(const model::Cluster& cluster, const Candidates& from, uint64_t flow) {
  const model::Endpoint* best = nullptr;
  double best_score = -1;
  for (const uint32_t i : from.endpoints) {
    const auto& endpoint = cluster.endpoints[i];
    const auto& raw = endpoint.address.address.bytes;
    const uint64_t hash = mix(hash_bytes(flow, {reinterpret_cast<const char*>(raw.data()), raw.size()}) +
                              endpoint.address.port);
    const double unit = (static_cast<double>(hash >> 11) + 0.5) / 9007199254740992.0;  // in (0, 1)
    const double score = -static_cast<double>(endpoint.weight) / std::log(unit);
    if (score > best_score) {
      best_score = score;
      best = &endpoint;
    }
  }
  return best;
}

}  // namespace

ConnInfo identify(const Index& index, const Arrival& arrival) {
  ConnInfo info;
  info.kind = arrival.kind;
  info.pod = arrival.pod;
  info.snapshot = index.pin();
  info.original = arrival.original;
  info.peer = arrival.peer;
  switch (arrival.kind) {
    case listen::Kind::kOutbound:
      name_outbound(index, info);
      break;
    case listen::Kind::kInbound:
    case listen::Kind::kAttested:
    case listen::Kind::kRefuse:
      name_inbound(index, arrival, info);
      break;
    case listen::Kind::kGateway:
      name_gateway(index, info);
      break;
  }
  return info;
}

bool is_self_test(const base::SocketAddress& destination) {
  static const base::Address kV4 = base::Address::v4(0xc0000201);  // 192.0.2.1
  static const base::Address kV6 = {{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  return destination.port == kSelfTestPort && (destination.address == kV4 || destination.address == kV6);
}

bool would_loop(const ConnInfo& info) {
  return info.kind == listen::Kind::kOutbound && info.service == model::kNone &&
         (info.original.address.is_loopback() || info.original.address.is_unspecified() ||
          info.original.address == info.peer.address);
}

const model::Endpoint* choose_endpoint(const Index& index, const ConnInfo& info, uint64_t random) {
  const bool tls = info.source != model::kNone && index.snapshot().workloads[info.source].same_node_tls;
  const Candidates& from = index.candidates(info.cluster, info.original.address.is_v4(), tls);
  if (from.endpoints.empty()) return nullptr;
  const auto& snapshot = index.snapshot();
  const auto& cluster = snapshot.clusters[info.cluster];
  const auto& service = snapshot.services[info.service];
  if (service.affinity_seconds != 0)
    return sticky(cluster, from, hash_bytes(hash_bytes(0xcbf29ce484222325U, info.pod), service.hostname));
  const uint64_t drawn = random % from.up_to.back();
  const auto slot = std::ranges::upper_bound(from.up_to, drawn) - from.up_to.begin();
  return &cluster.endpoints[from.endpoints[static_cast<size_t>(slot)]];
}

}  // namespace weft::identify
