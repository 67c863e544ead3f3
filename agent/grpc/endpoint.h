#pragma once
// "host:port" in two. Pure.
#include <string>

#include "userspace-proxy/base/result.h"

namespace weft::grpc {

struct Endpoint {
  std::string host;  // a name or an address, without the brackets of IPv6
  std::string port;
};

// kInvalid: one of the two is missing.
[[nodiscard]] base::Result<Endpoint> split_endpoint(const std::string& endpoint);

}  // namespace weft::grpc
