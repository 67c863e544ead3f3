#pragma once
// What takes the place of a policy that was refused while no good form of it is known: it selects what the refused one
// selects, or its whole namespace if that cannot be read either, and it closes. The trees did not pass their schema.
#include <memory>

#include "agent/objects/object.h"

namespace weft::objects {

// STRICT, without exceptions.
[[nodiscard]] std::shared_ptr<Object> stand_in_peer_authentication(const Node& root);
// ALLOW that lets nobody in; DENY of everybody for any other action, and where the action cannot be told.
[[nodiscard]] std::shared_ptr<Object> stand_in_authorization_policy(const Node& root);

}  // namespace weft::objects
