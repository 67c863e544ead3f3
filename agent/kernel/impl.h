#pragma once
#include <set>

#include "agent/kernel/install.h"
#include "agent/kernel/kernel.h"

namespace weft::kernel {

struct Kernel::Impl {
  Installed installed;
  compile::Tables current;  // as the kernel has them
  std::set<uint32_t> lacking_exclusions;  // pod ids
  Failures failures;

  [[nodiscard]] int map(const char* name) const { return installed.maps.at(name).get(); }
};

}  // namespace weft::kernel
