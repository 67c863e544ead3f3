#pragma once
// Route tables for callers in the mesh: one for each HTTP port of a Service that a VirtualService bound to
// the mesh names.
#include <vector>

#include "agent/state/services.h"
#include "agent/state/virtual_services.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// Sets `route_table` of the ports concerned and returns the tables. A table is chosen by the address that was
// called, so the bare name of a service in Host means that service whoever asks, also where the caller's own
// namespace has one of the same name. Callers for whom other rules hold (exportTo, a DestinationRule of their
// own namespace) come first in the virtual host, told apart by source_namespace.
[[nodiscard]] std::vector<model::RouteTable> make_mesh_tables(Services& services,
                                                              const VirtualServices& rules, Notes& notes);

}  // namespace weft::state
