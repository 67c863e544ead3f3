#pragma once
// The question a kubelet asks: is the agent whose reports are in this directory ready?
#include <filesystem>

namespace weft::agent {

// For `weft-agent --is-ready DIR`. Prints what keeps it from being ready, one line each. Exit code: 0 ready, 1 not, 2
// there is no report yet or none that can be read. A report that has not changed is as good as a new one: whoever
// stopped writing is the liveness of its process, not its readiness.
int run_is_ready(const std::filesystem::path& directory);

}  // namespace weft::agent
