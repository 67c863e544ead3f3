#pragma once
#include "agent/control_options.h"

namespace weft::agent {

// Serves certificates until SIGTERM. No privilege, no kernel half, no proxy. Returns the exit code.
int run_control(const ControlOptions& options);

}  // namespace weft::agent
