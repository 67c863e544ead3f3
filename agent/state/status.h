#pragma once
// What weft says about an object: conditions in the style of the Gateway API, and what is wrong with its
// manifest.
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/objects/objects.h"

namespace weft::state {

// The kind is a word, since a file that cannot be read has a status as well: kind "File", its path as the
// name.
struct StatusKey {
  std::string kind, ns, name;
  auto operator<=>(const StatusKey&) const = default;
};
[[nodiscard]] StatusKey status_key(const objects::ObjectKey& key);

// Condition types by kind (status True, False):
//   Gateway          Accepted, Programmed, PartiallyProgrammed, PartiallyInvalid
//   VirtualService   Accepted, ResolvedRefs, PartiallyInvalid, Merged, Shadowed
//   DestinationRule  Accepted, ResolvedRefs, Applied, PartiallyInvalid
//   PeerAuthentication, AuthorizationPolicy
//                    Accepted, Enforced, Shadowed, PartiallyInvalid
//   Service          PartiallyInvalid
//   CaptureExclusion Accepted, Enforced
//   Pod, Namespace   Enrolled; Namespace also PolicyValid; Pod also Excluded: what goes around the mesh
//   Snapshot         Accepted False: what the objects ask for breaks a bound of the data plane
//   any kind         Accepted False, reason Refused: the newest form is refused, the last good one is in
//   force
// PartiallyProgrammed, PartiallyInvalid, Merged and Shadowed are left out where they do not hold.
struct ObjectStatus {
  StatusKey key;
  int64_t generation = 0;
  std::string file;  // empty: the object came from an API server
  std::vector<objects::Condition> conditions;
  std::vector<objects::Finding> findings;
  std::string api_version, uid;  // of the object; empty: it has none that is known
  bool operator==(const ObjectStatus&) const = default;
};

// One JSON object and a newline: schema, kind, namespace, name, writer, observedGeneration, file, conditions,
// findings.
[[nodiscard]] std::string to_json(const ObjectStatus& status, const std::string& writer);

}  // namespace weft::state
