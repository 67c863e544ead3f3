#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "userspace-proxy/model/snapshot.h"

namespace weft::observe {

enum class Reporter : uint8_t { kSource, kDestination };
// What vouches for the source: label connection_security_policy.
enum class Security : uint8_t {
  kUnknown,         // not known here, e.g. what a gateway's clients are
  kNone,            // plain text, nobody vouches
  kKernelAttested,  // both pods are on this node and the kernel has named the source
  kMutualTls,
};
enum class RequestProtocol : uint8_t { kTcp, kHttp, kGrpc };

// Of a call that a proxy makes in the name of workload `source` to `port` of `destination` (indexes into `snapshot`).
[[nodiscard]] Security outbound_security(const model::Snapshot& snapshot, uint32_t source, uint32_t destination,
                                         uint16_t port);

// Who talks to whom, by indexes into one Snapshot. Costs one hash of five integers and three small ones to resolve.
struct FlowKey {
  Reporter reporter = Reporter::kSource;
  RequestProtocol protocol = RequestProtocol::kTcp;
  uint32_t source = model::kNone;       // workload
  uint32_t service = model::kNone;      // addressed service
  uint32_t destination = model::kNone;  // workload really dialled
  Security security = Security::kUnknown;
  bool operator==(const FlowKey&) const = default;
};

// The labels that Istio's metric families share, in emission order (telemetry.md 3). What differs from
// response to response (code, flags) and the locality block are added when the text is made.
inline constexpr auto kFlowLabelNames = std::to_array<std::string_view>({
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_service",
    "destination_service_namespace",
    "destination_service_name",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "request_protocol",
    "connection_security_policy",
});

// One value per name above. Missing values are "unknown", never empty.
struct FlowLabels {
  std::array<std::string, kFlowLabelNames.size()> values;
  bool operator==(const FlowLabels&) const = default;
};

[[nodiscard]] FlowLabels labels_of(const model::Snapshot& snapshot, const FlowKey& key);
// Every value is "overflow": what came after the bound on series was reached.
[[nodiscard]] FlowLabels overflow_labels();

}  // namespace weft::observe
