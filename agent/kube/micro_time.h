#pragma once
#include <string>

#include "userspace-proxy/base/clock.h"

namespace weft::kube {

// meta/v1 MicroTime: "2026-11-30T10:33:04.123456Z". The server takes exactly six digits.
[[nodiscard]] std::string micro_time(base::WallTime time);

}  // namespace weft::kube
