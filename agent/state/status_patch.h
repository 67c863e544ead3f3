#pragma once
// ObjectStatus -> what is applied to an object's status subresource. Pure. The shape is Istio's IstioStatus: conditions,
// validationMessages, observedGeneration.
#include <optional>
#include <string_view>

#include "agent/objects/node.h"
#include "agent/objects/object.h"
#include "agent/state/status.h"

namespace weft::state {

// Only kinds that come with a CustomResourceDefinition have a status that is ours to write.
[[nodiscard]] bool has_own_status(std::string_view kind);

// The object to apply, or nothing if `current`, the object as the server has it, says all of it already. A condition
// that holds as before keeps its lastTransitionTime, another one gets `now`. metadata.uid is set, so that a namesake
// that was made meanwhile is not taken for the object.
[[nodiscard]] std::optional<objects::Node> status_patch(const ObjectStatus& status, const objects::Node& current,
                                                        objects::Time now);

}  // namespace weft::state
