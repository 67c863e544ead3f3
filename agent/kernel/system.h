#pragma once
// Checks of the machine. Internal to kernel/.
#include <string>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::kernel {

std::string unescape_mount(const std::string& text);
base::Result<base::Fd> open_cgroup(const std::string& directory);
base::Status check_btf();
// The kubelet's cgroup may hold no pod, or that pod's calls would pass for probes.
base::Status check_apart(const std::string& kubelet_cgroup, const std::string& pods_cgroup);

}  // namespace weft::kernel
