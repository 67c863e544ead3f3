#pragma once
#include "agent/objects/report.h"
#include "agent/objects/schema.h"

namespace weft::objects {

// Compares a tree with its schema: unknown fields, wrong types, missing fields (errors), unsupported fields
// (warnings). After a check without error the readers may take types for granted. null counts as absent, as
// in Kubernetes.
//
// What an API server hands out has passed its own checks, which may be of a newer release than these tables: there
// unknown fields and words are passed over, and ignored fields are not looked at.
enum class Leniency : uint8_t {
  kNone,      // manifests
  kMetadata,  // served objects of kinds whose specification is checked here and nowhere else
  kAll,       // served objects of Kubernetes' own kinds
};
void check(const schema::Type& type, const Node& root, Report& report, Leniency leniency = Leniency::kNone);

}  // namespace weft::objects
