#pragma once
// Checks of the machine. Internal to kernel/; the tests read mount tables from text.
#include <istream>
#include <string>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::kernel {

base::Result<std::string> cgroup2_in(std::istream& mountinfo);
base::Result<base::Fd> open_cgroup(const std::string& directory);
base::Status check_btf();
// The kubelet's cgroup may hold no pod, or that pod's calls would pass for probes.
base::Status check_apart(const std::string& kubelet_cgroup, const std::string& pods_cgroup);

}  // namespace weft::kernel
