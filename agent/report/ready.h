#pragma once
// The question a kubelet asks: is the agent ready whose report this is?
#include <filesystem>

namespace weft::agent {

// For `weft-agent --is-ready PATH`: one report, or a directory of them. Prints what keeps an agent from being ready, one
// line each. Exit code: 0 ready, 1 not, 2 there is no report yet or none that can be read. A report that has not changed
// is as good as a new one, but only while the process lives that wrote it: the next one has captured nothing yet.
int run_is_ready(const std::filesystem::path& path);

}  // namespace weft::agent
