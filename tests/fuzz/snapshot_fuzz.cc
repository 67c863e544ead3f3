// Whatever decode() takes must be valid and survive another round trip unchanged.
#include <cstdint>
#include <string_view>

#include "userspace-proxy/model/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto snapshot = weft::model::decode({reinterpret_cast<const char*>(data), size});
  if (!snapshot) return 0;
  CHECK(weft::model::validate(**snapshot));
  const std::string bytes = weft::model::encode(**snapshot);
  const auto again = weft::model::decode(bytes);
  CHECK(again);
  CHECK(weft::model::encode(**again) == bytes);
  return 0;
}
