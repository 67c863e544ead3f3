#pragma once
// EndpointSlices from a Service and the pods it selects. Pure.
#include <string>
#include <vector>

#include "agent/sandbox/json.h"

namespace weft::sandbox {

// One slice for each family and each set of resolved ports; a service without pods has one empty slice a
// family. Nothing for services without a selector: their endpoints come from elsewhere.
[[nodiscard]] std::vector<Json> endpoint_slices(const Json& service, const std::vector<const Json*>& pods);

// The number behind targetPort on this pod; 0 if it names a port the pod does not have.
[[nodiscard]] int64_t target_port(const Json& service_port, const Json& pod);

}  // namespace weft::sandbox
