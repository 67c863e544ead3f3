// Any packet between weft-cni and the agent: what is read says the same when it is written and read again.
#include <cstdint>
#include <string>

#include "agent/cni_wire/message.h"

using namespace weft::cni;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  if (const auto request = decode_request(packet)) {
    CHECK(is_name(request->name) && is_name(request->ns) && is_name(request->container_id));
    CHECK(request->netns.find("/../") == std::string::npos);
    const auto again = decode_request(encode(*request));
    CHECK(again && *again == *request);
  }
  if (const auto answer = decode_answer(packet)) {
    const auto again = decode_answer(encode(*answer));
    CHECK(again && *again == *answer);
  }
  return 0;
}
