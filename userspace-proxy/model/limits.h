#pragma once
// Bounds of a Snapshot: far above what a node can hold, low enough that hostile bytes cannot exhaust the
// proxy.
#include <cstddef>

namespace weft::model {

inline constexpr size_t kMaxHead = 64u << 10;
inline constexpr size_t kMaxElement = 4u << 20;  // one cluster with 100,000 endpoints fits
inline constexpr size_t kMaxDecodedBytes = 128u << 20;
inline constexpr size_t kMaxWorkloads = 500'000;
inline constexpr size_t kMaxServices = 100'000;
inline constexpr size_t kMaxClusters = 400'000;
inline constexpr size_t kMaxRouteTables = 100'000;
inline constexpr size_t kMaxGatewayListeners = 1024;
inline constexpr size_t kMaxLocalPods = 4096;
inline constexpr size_t kMaxPolicyRules = 100'000;
inline constexpr size_t kMaxList = 100'000;  // elements of any nested list
inline constexpr size_t kMaxName = 1024;     // names, hosts, labels; other text: kMaxText

}  // namespace weft::model
