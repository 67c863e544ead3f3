#pragma once
#include <string>

#include "agent/cni_wire/message.h"
#include "userspace-proxy/base/clock.h"

namespace weft::cni {

inline constexpr base::Nanos kAskLimit = std::chrono::seconds(5);

// One request, one answer, all of it within `limit`; blocks. The error is a sentence for whoever reads the
// pod's events.
[[nodiscard]] base::Result<Answer> ask_agent(const std::string& socket, const Request& request,
                                             base::Nanos limit = kAskLimit);

}  // namespace weft::cni
