#pragma once
#include <sys/types.h>

#include <string>

#include "userspace-proxy/base/result.h"

namespace weft::agent {

// Directory of the cgroup v2 cgroup that a process is in, below the mount `cgroup2`.
[[nodiscard]] base::Result<std::string> cgroup_of(const std::string& cgroup2, pid_t pid);

}  // namespace weft::agent
