#include "userspace-proxy/observe/flow.h"

#include <span>

namespace weft::observe {
namespace {

constexpr std::string_view kUnknown = "unknown";
// The id that Istio gives to the only cluster of a mesh.
constexpr std::string_view kCluster = "Kubernetes";

template <typename Item>
const Item* at(const std::vector<Item>& items, uint32_t index) {
  return index < items.size() ? &items[index] : nullptr;
}

// Hands out the values one by one, in the order of kFlowLabelNames.
class Filler {
 public:
  explicit Filler(FlowLabels& labels) : left_(labels.values) {}
  void add(std::string_view value) {
    left_.front() = value.empty() ? kUnknown : value;
    left_ = left_.subspan(1);
  }

 private:
  std::span<std::string> left_;
};

bool proven(Security security) {
  return security == Security::kMutualTls || security == Security::kKernelAttested;
}

void add_source(Filler& out, const model::Workload* source, const model::Settings& settings,
                Security security) {
  out.add(source ? source->owner : kUnknown);
  out.add(source ? source->canonical_name : kUnknown);
  out.add(source ? source->canonical_revision : kUnknown);
  out.add(source ? source->ns : kUnknown);
  // A fact of the connection, unlike the destination's, which is computed (telemetry.md 3).
  out.add(source && proven(security) ? std::string_view(model::identity_of(*source, settings)) : kUnknown);
  out.add(source ? source->canonical_name : kUnknown);
  out.add(source ? source->canonical_revision : kUnknown);
  out.add(source ? kCluster : kUnknown);
}

void add_destination(Filler& out, const model::Workload* destination, const model::Settings& settings) {
  out.add(destination ? destination->owner : kUnknown);
  out.add(destination ? destination->canonical_name : kUnknown);
  out.add(destination ? destination->canonical_revision : kUnknown);
  out.add(destination ? destination->ns : kUnknown);
  out.add(destination ? std::string_view(model::identity_of(*destination, settings)) : kUnknown);
  out.add(destination ? destination->canonical_name : kUnknown);
  out.add(destination ? destination->canonical_revision : kUnknown);
  out.add(destination ? kCluster : kUnknown);
}

std::string_view name_of(RequestProtocol protocol) {
  switch (protocol) {
    case RequestProtocol::kTcp:
      return "tcp";
    case RequestProtocol::kHttp:
      return "http";
    case RequestProtocol::kGrpc:
      return "grpc";
  }
  return kUnknown;
}

std::string_view name_of(Security security) {
  switch (security) {
    case Security::kNone:
      return "none";
    case Security::kKernelAttested:
      return "kernel_attested";
    case Security::kMutualTls:
      return "mutual_tls";
    case Security::kUnknown:
      break;
  }
  return kUnknown;
}

}  // namespace

Security outbound_security(const model::Snapshot& snapshot, uint32_t source, uint32_t destination,
                           uint16_t port) {
  if (model::needs_tunnel(snapshot, source, destination, port)) return Security::kMutualTls;
  const model::Workload* from = at(snapshot.workloads, source);
  const model::Workload* to = at(snapshot.workloads, destination);
  const bool attested = snapshot.role == model::Role::kNode && from != nullptr && to != nullptr &&
                        from->enrolled && from->local && to->enrolled && to->local && !model::excludes(*to, port);
  return attested ? Security::kKernelAttested : Security::kNone;
}

FlowLabels labels_of(const model::Snapshot& snapshot, const FlowKey& key) {
  FlowLabels labels;
  Filler out(labels);
  const model::Service* service = at(snapshot.services, key.service);
  out.add(key.reporter == Reporter::kSource ? "source" : "destination");
  add_source(out, at(snapshot.workloads, key.source), snapshot.settings, key.security);
  out.add(service ? service->hostname : kUnknown);
  out.add(service ? service->ns : kUnknown);
  out.add(service ? service->name : kUnknown);
  add_destination(out, at(snapshot.workloads, key.destination), snapshot.settings);
  out.add(name_of(key.protocol));
  out.add(name_of(key.security));
  return labels;
}

FlowLabels overflow_labels() {
  FlowLabels labels;
  labels.values.fill("overflow");
  return labels;
}

}  // namespace weft::observe
