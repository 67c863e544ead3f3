#pragma once
// A port of the machine's loopback that leads to the gateway's node port, as kind's port mapping does.
#include "agent/sandbox/layout.h"

namespace weft::sandbox {

// `weftctl sandbox forward`: serves until it is killed. Listens in the root namespace, dials inside the
// sandbox.
[[nodiscard]] base::Status forward(const Layout& layout);
// The port it listens on; 0 while there is none.
[[nodiscard]] uint16_t forward_port(const Layout& layout);

}  // namespace weft::sandbox
