#pragma once
// cgroup v2 directories. A sandbox lives below one of them: whatever runs in it belongs to the sandbox,
// nothing else does.
#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

// Where cgroup v2 is mounted, from the text of /proc/mounts. Empty if it is not.
[[nodiscard]] std::string cgroup2_mount(const std::string& mounts);
[[nodiscard]] base::Result<std::string> find_cgroup2();

// All processes of the cgroup and of those below it.
[[nodiscard]] std::vector<pid_t> processes_in(const std::string& cgroup);
[[nodiscard]] bool is_populated(const std::string& cgroup);
// SIGKILL to every member, also to those that are forking right now.
void kill_all_in(const std::string& cgroup);
// Kills, waits for the members to be gone and removes the directories, deepest first.
[[nodiscard]] base::Status remove_cgroup(const std::string& cgroup, std::chrono::milliseconds patience);

}  // namespace weft::sandbox
