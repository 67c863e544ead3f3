#pragma once
// The tables of agent/objects as OpenAPI: what the API server checks is what the agent reads.
#include "agent/objects/node.h"
#include "agent/objects/schema.h"

namespace weft::install {

// A structural schema (kubernetes.io, "Specifying a structural schema"): fields, types, choices, ranges and what is
// required, as the table has them. What has no effect yet says so in its description.
[[nodiscard]] objects::Node openapi_of(const objects::schema::Type& type);
// The same of a whole object, whose apiVersion, kind and metadata are the API server's own business: it takes no schema
// for them.
[[nodiscard]] objects::Node openapi_of_object(const objects::schema::Type& type);

// An object of whatever fields: no table knows it.
[[nodiscard]] objects::Node openapi_of_anything();

}  // namespace weft::install
