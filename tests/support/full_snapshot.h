#pragma once
#include "userspace-proxy/model/snapshot.h"

namespace weft::test {

// A valid Snapshot in which every field differs from its default: what a codec forgets, a comparison shows.
[[nodiscard]] model::Snapshot full_snapshot();
[[nodiscard]] bool same(const model::Snapshot& a, const model::Snapshot& b);

}  // namespace weft::test
