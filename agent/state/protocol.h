#pragma once
// How a service port speaks, from what the manifest declares. Pure.
#include <optional>
#include <string>

#include "agent/objects/objects.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

struct PortProtocol {
  model::Protocol protocol = model::Protocol::kTcp;
  bool declared = false;  // by appProtocol or the port's name; else TCP is our cautious reading
};
[[nodiscard]] PortProtocol protocol_of(const objects::ServicePort& port);

// A Gateway server's protocol, if weft can serve it in clear text.
[[nodiscard]] std::optional<model::Protocol> plaintext_http(const std::string& gateway_protocol);

}  // namespace weft::state
