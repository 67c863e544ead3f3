#pragma once
// JSON text -> Nodes. Bounded in size, depth and number of nodes, so also in time. RFC 8259; bytes that are
// no UTF-8 are refused. A key that occurs twice has its last value, as with Go's encoding/json, so as the API
// server reads it. Integers beyond int64 become floats. Nodes carry no marks.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/objects/node.h"
#include "userspace-proxy/base/result.h"

namespace weft::parse {

struct JsonLimits {
  size_t bytes = 64u << 20;
  size_t nodes = 4'000'000;  // a long text counts as several: one for 64 bytes
  size_t depth = 100;
};

// Fields that no Node is made of: they are read over as if they were not there, and count for nothing but `bytes` and
// `depth`. A value; empty: nothing is left out.
class Unread {
 public:
  Unread() = default;
  // Paths of keys: "metadata.managedFields". An array on the way means each of its elements.
  explicit Unread(const std::vector<std::string_view>& paths);
  // The same fields where the object itself is the value of `key`.
  [[nodiscard]] static Unread below(std::string_view key, Unread fields);

  [[nodiscard]] bool empty() const { return fields_.empty(); }
  // What is left out below `key`; null: nothing.
  [[nodiscard]] const Unread* find(std::string_view key) const;
  // The field itself is left out.
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  void add(std::string_view path);

  std::vector<std::pair<std::string, Unread>> fields_;
  bool whole_ = false;
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

  [[nodiscard]] base::Result<objects::Node> read(std::string_view text, const JsonLimits& limits = {},
                                                 const Unread& unread = {});

  // An object that holds one long array at `key`, such as a Kubernetes list: its elements are handed to
  // `each` one by one, and what is returned is the object without them (the array is empty there). Of the
  // whole only simdjson's tape is held, never all elements as Nodes at once. An error from `each` ends the
  // reading and is returned. `limits.nodes` counts for each element. kInvalid also: no object, or `key` is
  // there and is neither array nor null. `unread`: of each element.
  using Each = std::function<base::Status(objects::Node element)>;
  [[nodiscard]] base::Result<objects::Node> read_list(std::string_view text, std::string_view key,
                                                      const Each& each, const JsonLimits& limits = {},
                                                      const Unread& unread = {});

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace weft::parse
