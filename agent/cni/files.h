#pragma once
// Files that others rely on: read within bounds, replaced whole or not at all. Internal to cni/.
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"

namespace weft::cni {

// A regular file of at most `max_bytes`, symbolic links followed.
[[nodiscard]] base::Result<std::string> read_whole(const std::string& path, size_t max_bytes);
// Written beside `path`, synced, renamed. An existing file keeps its mode and owner, a new one gets `mode`. A
// symbolic link stays one: what it points at is replaced.
[[nodiscard]] base::Status replace_file(const std::string& path, std::string_view bytes, mode_t mode);
// The same, whatever was at `path`: of mode `mode` and root's.
[[nodiscard]] base::Status install_file(const std::string& path, std::string_view bytes, mode_t mode);
[[nodiscard]] base::Status rename_file(const std::string& from, const std::string& to);
[[nodiscard]] bool exists(const std::string& path);

}  // namespace weft::cni
