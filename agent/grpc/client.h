#pragma once
// One unary gRPC call over its own TLS connection. Blocking; from any thread; bounded by its deadline in all
// it does but the lookup of a host name, which the resolver bounds.
#include <expected>
#include <string>

#include "agent/grpc/status.h"
#include "userspace-proxy/base/clock.h"

namespace weft::grpc {

// Where to call, and who must answer. A plain connection is not to be had.
struct Target {
  std::string endpoint;     // "host:port", host a name or an address, IPv6 in brackets
  std::string roots_pem;    // anchors for the server's certificate, one or several; empty: the system's
  std::string server_name;  // the DNS name or address the certificate must carry; empty: the host of `endpoint`
};

struct Call {
  std::string path;     // "/package.Service/Method"
  Metadata headers;     // names in lower case; `authorization` is never put into a compression table
  std::string message;  // serialised request
  base::Millis deadline{10'000};
  size_t max_reply = 1024 * 1024;  // bytes of the serialised reply
};

// The serialised reply, or why there is none; see CallError.
using Reply = std::expected<std::string, CallError>;
[[nodiscard]] Reply call(const Target& target, const Call& call);

}  // namespace weft::grpc
