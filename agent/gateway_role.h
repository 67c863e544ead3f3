#pragma once
#include "agent/options.h"

namespace weft::agent {

// Serves the proxy beside it until SIGTERM. No privilege, no kernel half. Returns the exit code.
int run_gateway(const Options& options);

}  // namespace weft::agent
