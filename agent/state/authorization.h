#pragma once
// AuthorizationPolicy -> rules of the model. Pure. Source of the rules: reference identity.md 7.
#include <string>
#include <vector>

#include "agent/objects/objects.h"
#include "userspace-proxy/model/policy.h"

namespace weft::state {

// One rule of the model for each rule of the object, so that a refusal can name its index. What layer 4 cannot tell
// closes: an ALLOW rule that asks for it is never true, a DENY rule takes it for fulfilled; so does CUSTOM, which
// stands for DENY while there is no authorizer to ask. An ALLOW policy without rules keeps one that is never true,
// since its being there refuses. Nothing for AUDIT, and for policies with targetRefs.
[[nodiscard]] std::vector<model::PolicyRule> rules_of(const objects::AuthorizationPolicy& policy);

// "AuthorizationPolicy dev/web rules[0] (web.yaml:12)": an object, what of it, and where that stands.
[[nodiscard]] std::string place_of(const objects::Object& object, const std::string& what, objects::Mark mark);

}  // namespace weft::state
