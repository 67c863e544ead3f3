#pragma once
#include <string>
#include <utility>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::certs {

// A Snapshot that knows these Services, by host name and addresses.
inline model::Snapshot with_services(
    const std::vector<std::pair<std::string, std::vector<std::string>>>& services) {
  model::Snapshot out;
  for (const auto& [hostname, addresses] : services) {
    model::Service& service = out.services.emplace_back();
    service.hostname = hostname;
    for (const std::string& address : addresses) service.addresses.push_back(base::Address::parse(address).value());
  }
  return out;
}

}  // namespace weft::certs
