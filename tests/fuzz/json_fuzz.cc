// Any bytes: the reader comes to an end within its bounds, what was read survives being written, and the form
// that hands out a list agrees with the one that reads it whole.
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/parse/json.h"
#include "userspace-proxy/base/result.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const parse::JsonLimits limits{.bytes = 1u << 20, .nodes = 50'000, .depth = 50};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  parse::JsonReader reader;
  const auto node = reader.read(text, limits);
  if (node) {
    const std::string written = objects::to_json(*node, 0);
    const auto again = reader.read(written, {});
    CHECK(again.has_value());
    CHECK(objects::to_json(*again, 0) == written);
  }
  size_t items = 0;
  const auto rest = reader.read_list(
      text, "items",
      [&](objects::Node) -> base::Status {
        ++items;
        return {};
      },
      limits);
  // A second key "items" hands out its elements as well; the tree has the last one only.
  if (rest && node) CHECK(items >= node->at({"items"}).items().size());
  return 0;
}
