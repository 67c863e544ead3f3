#pragma once
// The mesh's own parts as pods: the one place that knows their command lines.
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"

namespace weft::sandbox {

// weft-agent (role node) and weft-proxy of every node, as DaemonSets would make them: host network, namespace
// weft-system. Without uid and times: complete_pod() adds them.
[[nodiscard]] std::vector<Json> system_pods(const Layout& layout);

// The manifest of manifests/sandbox with this sandbox's paths and addresses.
[[nodiscard]] std::string gateway_manifest(const Layout& layout);
[[nodiscard]] std::string control_manifest(const Layout& layout);
// Where agents reach the CA, and what its certificate says.
[[nodiscard]] std::string control_address(const Layout& layout);
inline constexpr const char* kControlName = "weft-control.weft-system.svc";

}  // namespace weft::sandbox
