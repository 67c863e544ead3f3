#pragma once
// Values for the tables of the decide/ tests.
#include <cstring>
#include <string>

#include "bpf/decide/connect.h"
#include "userspace-proxy/base/address.h"

namespace weft::test {

inline weft_address at(const std::string& text) {
  weft_address out{};
  const base::Address parsed = base::Address::parse(text).value();
  std::memcpy(out.bytes, parsed.bytes.data(), sizeof out.bytes);
  return out;
}

// 10.0.0.5 and fd00::5, with these flags.
inline weft_pod pod_with(uint32_t flags) {
  weft_pod pod{};
  pod.pod_id = 5;
  pod.identity = 50;
  pod.namespace_id = 500;
  pod.flags = flags;
  pod.listener_slot = 40;
  pod.generation = 3;
  pod.ipv4 = at("10.0.0.5");
  pod.ipv6 = at("fd00::5");
  return pod;
}

}  // namespace weft::test
