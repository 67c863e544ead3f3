#pragma once
// A YAML or JSON document as a tree. Scalars are typed as kubectl types them (YAML 1.1); every value knows
// its place.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace weft::objects {

// 1-based; 0 means "made by the program, from no file".
struct Mark {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const Mark&) const = default;
};

// A plain value: copies are deep. Order of keys is kept; a key occurs once.
class Node {
 public:
  struct Entry;
  using Sequence = std::vector<Node>;
  using Mapping = std::vector<Entry>;
  enum class Kind : uint8_t { kNull, kBool, kInt, kFloat, kString, kSequence, kMapping };

  Node() = default;  // null
  static Node boolean(bool value);
  static Node integer(int64_t value);
  static Node real(double value);
  static Node string(std::string value);
  static Node sequence();
  static Node sequence(Sequence items);
  static Node mapping();
  // A mapping of strings, e.g. labels.
  template <typename Map>
  static Node strings(const Map& map);

  [[nodiscard]] Kind kind() const { return static_cast<Kind>(value_.index()); }
  [[nodiscard]] bool is_null() const { return kind() == Kind::kNull; }
  [[nodiscard]] bool is_mapping() const { return kind() == Kind::kMapping; }
  [[nodiscard]] bool is_sequence() const { return kind() == Kind::kSequence; }
  [[nodiscard]] bool is_string() const { return kind() == Kind::kString; }

  // The value if it has that kind, else the neutral one (false, 0, empty).
  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] int64_t as_int() const;  // an integral float counts: 1e3 is 1000, as for kubectl
  [[nodiscard]] double as_real() const;  // integers count
  [[nodiscard]] const std::string& as_string() const;
  [[nodiscard]] const Sequence& items() const;
  [[nodiscard]] const Mapping& entries() const;

  // The value below `key`, or null if there is none or this is no mapping.
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] Node* find(std::string_view key);
  // find() along a path of keys: at({"metadata", "name"}). Never fails: a missing step yields a null Node.
  [[nodiscard]] const Node& at(std::initializer_list<std::string_view> path) const;

  // A null Node becomes a mapping (or sequence) by these. REQUIRES: null or mapping (sequence).
  Node& set(std::string_view key, Node value);  // replaces in place, else appends
  Node& operator[](std::string_view key);       // the value below `key`, made (null) if missing
  // For readers that have made sure that the key is new; set() looks for it first.
  void add_entry(Entry entry);
  void erase(std::string_view key);
  Node& append(Node value);

  [[nodiscard]] Mark mark() const { return mark_; }
  void set_mark(Mark mark) { mark_ = mark; }
  // The value the next writer sees; marks take no part.
  bool operator==(const Node& other) const;

 private:
  using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Sequence, Mapping>;
  explicit Node(Value value);
  Mapping& as_mapping();

  Value value_;
  Mark mark_;
};

struct Node::Entry {
  std::string key;
  Node value;
  Mark mark{};  // of the key
  bool operator==(const Entry& other) const { return key == other.key && value == other.value; }
};

template <typename Map>
Node Node::strings(const Map& map) {
  Node node = mapping();
  for (const auto& [key, value] : map) node.set(key, string(value));
  return node;
}

// One document of a file.
struct Document {
  std::string file;
  Node root;
};

// The type YAML 1.1 gives to an unquoted scalar, as kubectl does it (yes/no/on/off, 0x1f, 017, 1_000, .5, ~).
[[nodiscard]] Node resolve_plain(std::string_view text);

// `indent` 0 writes one line.
[[nodiscard]] std::string to_json(const Node& node, int indent = 2);
// Block style, ends with a newline; strings are quoted where a reader would take them for something else.
[[nodiscard]] std::string to_yaml(const Node& node);
// Documents parted by "---".
[[nodiscard]] std::string to_yaml(const std::vector<Node>& documents);

// "the string \"x\"", "the integer 80", "a list": what a message says was found.
[[nodiscard]] std::string describe(const Node& node);

}  // namespace weft::objects
