#include "agent/grpc/endpoint.h"

#include <fmt/format.h>

namespace weft::grpc {

base::Result<Endpoint> split_endpoint(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == endpoint.size())
    return base::fail(base::ErrorKind::kInvalid, fmt::format("endpoint \"{}\" is not host:port", endpoint));
  std::string host = endpoint.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Endpoint{std::move(host), endpoint.substr(colon + 1)};
}

}  // namespace weft::grpc
