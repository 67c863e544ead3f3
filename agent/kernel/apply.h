#pragma once
// Changes -> map writes. Internal to kernel/.
#include <cstdint>
#include <set>
#include <string>

#include "agent/compile/tables.h"
#include "agent/kernel/programs.h"

namespace weft::kernel {

// What one run could not write. Each of it is whole: a service keeps its last table or has none, never half a
// table.
struct Shortfall {
  std::set<uint32_t> services;  // ids left out
  std::set<uint32_t> pods;  // pod ids with a policy entry missing: the proxy judges their arrivals instead
  std::set<uint32_t> strict_pods;  // pod ids with a port's mode missing: strict on every port instead
  // Pod ids with an exclusion missing: what it names stays captured. 0: of pods elsewhere.
  std::set<uint32_t> captured_pods;
  uint64_t writes = 0;      // others that failed
  std::string first;        // the first failure, as a sentence; empty: all was written
};

Shortfall apply_changes(const MapSet& maps, const compile::Changes& changes);

// The tables that apply_changes() writes, read back.
base::Result<compile::Tables> read_back(const MapSet& maps);

// All keys of `pods` whose entry has this pod id and generation (one, or none while the pod is not armed).
base::Result<std::vector<weft_pod_key>> find_pod(const MapSet& maps, uint32_t pod_id, uint32_t generation);

// The flags in `pods` that say how far a pod is armed; all others say what configuration wants.
inline constexpr uint32_t kArmingFlags = WEFT_POD_ENROLLED | WEFT_POD_MARKING;

[[nodiscard]] constexpr uint32_t strict_everywhere(uint32_t flags) {
  return (flags | WEFT_POD_STRICT) & ~uint32_t{WEFT_POD_HAS_PORT_MODES};
}

}  // namespace weft::kernel
