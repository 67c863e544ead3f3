#pragma once
// Snapshot <-> bytes (protobuf, snapshot.proto). The reader treats the bytes as hostile: every index, count
// and string is checked before a Snapshot exists; a Snapshot is taken whole or not at all.
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::model {

inline constexpr uint32_t kSnapshotFormat = 2;
inline constexpr size_t kMaxSnapshotBytes = 256u << 20;
inline constexpr size_t kMaxText = 16u << 10;  // of any one string

[[nodiscard]] std::string encode(const Snapshot& snapshot);
[[nodiscard]] base::Result<SnapshotPtr> decode(std::string_view bytes);
// The checks decode() makes, for a Snapshot that was built in this process. The error names the first broken
// place.
[[nodiscard]] base::Status validate(const Snapshot& snapshot);

}  // namespace weft::model
