#pragma once
// Files of secrets and roots, as others mount and replace them.
#include <string>

#include "userspace-proxy/base/result.h"

namespace weft::certs {

// The whole of a regular file. kLimit: more than `most` bytes; kInvalid: no regular file (a pipe would
// block).
[[nodiscard]] base::Result<std::string> read_bounded(const std::string& path, size_t most);

}  // namespace weft::certs
