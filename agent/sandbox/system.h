#pragma once
// The mesh's own parts as pods: the one place that knows their command lines.
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"

namespace weft::sandbox {

// weft-agent (role node) and weft-proxy of every node, as DaemonSets would make them: host network, namespace
// weft-system. Without uid and times: complete_pod() adds them.
[[nodiscard]] std::vector<Json> system_pods(const Layout& layout);

// manifests/sandbox/gateway.yaml with this sandbox's paths.
[[nodiscard]] std::string gateway_manifest(const Layout& layout);

}  // namespace weft::sandbox
