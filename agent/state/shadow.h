#pragma once
// Routes that no request can reach, found by comparing conditions. Pure.
#include <string>
#include <vector>

#include "agent/state/virtual_services.h"

namespace weft::state {

// True only if every request that `narrow` takes is taken by `wide`; false where that cannot be told cheaply.
[[nodiscard]] bool covers(const model::RouteMatch& wide, const model::RouteMatch& narrow);

// Notes each route that an earlier one covers, on the VirtualService it is from. `where` names host and port.
void note_shadowed(const std::vector<OwnedRoute>& routes, const std::string& where, Notes& notes);

}  // namespace weft::state
