#pragma once
#include "agent/objects/report.h"
#include "agent/objects/schema.h"

namespace weft::objects {

// Compares a tree with its schema: unknown fields, wrong types, missing fields (errors), unsupported fields
// (warnings). After a check without error the readers may take types for granted. null counts as absent, as
// in Kubernetes.
void check(const schema::Type& type, const Node& root, Report& report);

}  // namespace weft::objects
