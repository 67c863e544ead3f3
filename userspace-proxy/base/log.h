#pragma once
// The operational log: one line a fact, to stderr. Never called per packet, byte or request.
#include <spdlog/spdlog.h>

#include <string_view>

namespace weft::base {

// Call once in main. `level` is one of trace, debug, info, warn, error, off; an unknown word means info.
void init_log(std::string_view program, std::string_view level);

}  // namespace weft::base
