#pragma once
// The kernel half's counters of one node, read from the pinned map as anybody can read them.
#include <cstdint>
#include <map>
#include <string>

namespace weft::test {

using Counters = std::map<std::string, uint64_t>;

// Summed over the CPUs. Empty, and a failure of the test, when the map is not there.
[[nodiscard]] Counters kernel_counters(const std::string& pin_directory);
// Of a node of a sandbox.
[[nodiscard]] Counters node_counters(const std::string& sandbox, const std::string& node);
// What has grown from `before` to `after`.
[[nodiscard]] Counters growth(const Counters& before, const Counters& after);
[[nodiscard]] std::string to_text(const Counters& counters);

}  // namespace weft::test
