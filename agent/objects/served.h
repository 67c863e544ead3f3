#pragma once
// What is kept of an object that an API server handed out: a cluster's pods are many, and each node's agent knows all
// that its own pods may call.
#include <string_view>
#include <vector>

#include "agent/objects/object.h"

namespace weft::objects {

// Leaves what the mesh reads: of annotations those of Istio's and weft's names, and the mark of a static pod; of a Pod
// neither what its containers run nor how they are, but their ports and whether it is ready, and of its owners the one
// that controls it.
void reduce(Object& object);

// Of what an API server hands out of that kind: the fields that are long, and that nobody reads or reduce() throws away.
// A reader may leave them out, as paths of keys ("spec.containers.env", an array standing for each of its elements).
[[nodiscard]] const std::vector<std::string_view>& unread_fields(Kind kind);

// Both are forms of one object, and nothing that the mesh reads is different: only statuses that others (or weft's
// own control) wrote, or bookkeeping. False where that cannot be told cheaply.
[[nodiscard]] bool says_the_same(const Object& before, const Object& now);

}  // namespace weft::objects
