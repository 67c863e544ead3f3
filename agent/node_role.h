#pragma once
#include "agent/options.h"

namespace weft::agent {

// Enrols the pods of this node and serves its proxy until SIGTERM; what is pinned stays in force afterwards.
int run_node(const Options& options);
// Loads every hook for real and attaches nothing; one line for each thing that the machine lacks.
int run_probe(const Options& options);
int run_uninstall(const Options& options);

}  // namespace weft::agent
