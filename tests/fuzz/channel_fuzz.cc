// First byte: how many descriptors are said to have come along. Whatever is taken must survive another round
// trip.
#include <cstdint>
#include <string_view>

#include "userspace-proxy/model/channel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t fds = data[0];
  const std::string_view packet(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto message = weft::model::decode_to_proxy(packet, fds)) {
    const auto again = weft::model::decode_to_proxy(weft::model::encode(*message), fds);
    CHECK(again && again->index() == message->index());
  }
  if (const auto message = weft::model::decode_to_agent(packet, fds)) {
    const auto again = weft::model::decode_to_agent(weft::model::encode(*message), fds);
    CHECK(again && again->index() == message->index());
  }
  return 0;
}
