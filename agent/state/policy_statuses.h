#pragma once
// What policy objects are told. Pure. Condition types: Accepted, Enforced, Shadowed, PartiallyInvalid.
#include <string>
#include <vector>

#include "agent/state/exclusions.h"
#include "agent/state/policy_book.h"
#include "agent/state/state.h"
#include "agent/state/status.h"

namespace weft::state {

[[nodiscard]] std::vector<ObjectStatus> policy_statuses(const Store& store, const PolicyBook& book,
                                                        const StateOptions& options);
// The same of CaptureExclusions.
[[nodiscard]] std::vector<ObjectStatus> exclusion_statuses(const Store& store, const ExclusionBook& book,
                                                           const StateOptions& options);

// PartiallyInvalid, UnsupportedValue: the fields that have another effect than they ask for, and which.
void add_unsupported_policy(ObjectStatus& status, const std::vector<objects::Finding>& findings);

}  // namespace weft::state
