#pragma once
// Reading /proc. Internal to procfs/.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::procfs {

// At most `max_bytes` of it; nothing if it cannot be opened: the process has ended.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path, size_t max_bytes);
// Processes, by number; at most `max`.
[[nodiscard]] std::vector<pid_t> list_processes(const std::string& proc, size_t max);
// Names in a directory, but for "." and ".."; none if it is not there.
[[nodiscard]] std::vector<std::string> list_names(const std::string& directory, size_t max);
// Field 22 of /proc/<pid>/stat: when it started, in ticks since boot. The name in it may hold anything.
[[nodiscard]] std::optional<uint64_t> start_time_in(std::string_view stat);
// The inode numbers in /proc/<pid>/net/unix.
[[nodiscard]] std::vector<uint64_t> inodes_in(std::string_view net_unix);

}  // namespace weft::procfs
