#pragma once
#include <string>

#include "agent/objects/istio.h"
#include "agent/objects/report.h"

namespace weft::objects {

// One entry of a VirtualService's http list.
[[nodiscard]] HttpRoute read_http_route(const Node& node, const std::string& path, Report& report);

}  // namespace weft::objects
