// Any bytes in any pieces: a message that is taken frames to exactly what was read, and the bound holds.
#include <cstdint>
#include <string>

#include "agent/grpc/frame.h"

using namespace weft::grpc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kBound = 512;
  if (size == 0) return 0;
  const size_t piece = data[0] % 32 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  FrameReader reader(kBound);
  for (size_t at = 0; at < bytes.size(); at += piece)
    if (!reader.append(bytes.substr(at, piece))) return 0;
  const auto message = reader.finish();
  if (!message) return 0;
  CHECK(message->size() <= kBound);
  CHECK(frame(*message) == bytes);
  return 0;
}
