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

}  // namespace weft::kernel
