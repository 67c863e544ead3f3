#pragma once
// What enrolling tells the rest of the agent: per pod, and in numbers.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/enrol/pod.h"
#include "agent/enrol/pre_mesh.h"
#include "agent/enrol/stock.h"

namespace weft::enrol {

// Why a pod that should be captured is not.
enum class Gap : uint8_t { kNone, kNamespace, kArming, kNoProxy, kUntested, kSelfTest };
inline constexpr size_t kGaps = 6;
[[nodiscard]] std::string_view name_of(Gap gap);

struct PodStatus {
  std::string name;  // "ns/name"
  uint64_t netns_cookie = 0;
  bool captured = false;  // armed and proven by the self-test
  bool leaving = false;   // un-enrolled; established connections still run
  Gap gap = Gap::kNone;
  std::string detail;  // a sentence, where there is a gap
  PreMesh pre_mesh;    // connections of before, which go on past the mesh
  objects::PreMeshPolicy pre_mesh_policy = {};
  bool operator==(const PodStatus&) const = default;
};

struct EnrolMetrics {
  uint64_t captured_pods = 0, enrolled_pods = 0, leaving_pods = 0, pre_mesh_connections = 0;
  uint64_t pre_mesh_ended = 0;         // connections of before, by policy
  uint64_t pre_mesh_end_failures = 0;  // times that some could not be ended; they are tried again
  uint64_t pre_mesh_memory_failures = 0;  // what the next agent shall know could not be written or read
  std::array<double, kGaps> uncaptured_pod_seconds{};  // by Gap
  RepairCounts repairs{};                              // by Repair
  uint64_t arm_failures = 0, self_tests_passed = 0, self_tests_failed = 0;
  StockGauges stock;
  StockCounters stock_counters;
};

}  // namespace weft::enrol
