#pragma once
// JSON text -> Nodes. Bounded in size, depth and number of nodes, so also in time. RFC 8259; bytes that are
// no UTF-8 are refused. A key that occurs twice has its last value, as with Go's encoding/json, so as the API
// server reads it. Integers beyond int64 become floats. Nodes carry no marks.
#include <functional>
#include <memory>
#include <string_view>

#include "agent/objects/node.h"
#include "userspace-proxy/base/result.h"

namespace weft::parse {

struct JsonLimits {
  size_t bytes = 64u << 20;
  size_t nodes = 4'000'000;  // a long text counts as several: one for 64 bytes
  size_t depth = 100;
};

// kInvalid: no JSON; kLimit: beyond a bound.
[[nodiscard]] base::Result<objects::Node> read_json(std::string_view text, const JsonLimits& limits = {});

// The same with memory that is used again: for whoever reads line after line. Thread: any one at a time.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  [[nodiscard]] base::Result<objects::Node> read(std::string_view text, const JsonLimits& limits = {});

  // An object that holds one long array at `key`, such as a Kubernetes list: its elements are handed to
  // `each` one by one, and what is returned is the object without them (the array is empty there). Of the
  // whole only simdjson's tape is held, never all elements as Nodes at once. An error from `each` ends the
  // reading and is returned. `limits.nodes` counts for each element. kInvalid also: no object, or `key` is
  // there and is neither array nor null.
  using Each = std::function<base::Status(objects::Node element)>;
  [[nodiscard]] base::Result<objects::Node> read_list(std::string_view text, std::string_view key,
                                                      const Each& each, const JsonLimits& limits = {});

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace weft::parse
