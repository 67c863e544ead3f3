#include "agent/objects/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "userspace-proxy/base/result.h"

namespace weft::objects {

Node::Node(Value value) : value_(std::move(value)) {}

Node Node::boolean(bool value) {
  return Node(Value(value));
}
Node Node::integer(int64_t value) {
  return Node(Value(value));
}
Node Node::real(double value) {
  return Node(Value(value));
}
Node Node::string(std::string value) {
  return Node(Value(std::move(value)));
}
Node Node::sequence() {
  return Node(Value(Sequence()));
}
Node Node::sequence(Sequence items) {
  return Node(Value(std::move(items)));
}
Node Node::mapping() {
  return Node(Value(Mapping()));
}

bool Node::as_bool() const {
  const bool* value = std::get_if<bool>(&value_);
  return value && *value;
}

int64_t Node::as_int() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  const double* real = std::get_if<double>(&value_);
  // The bounds are exact in a double; outside them the cast would be undefined.
  if (!real || !(*real >= -9223372036854775808.0 && *real < 9223372036854775808.0)) return 0;
  return *real == std::trunc(*real) ? static_cast<int64_t>(*real) : 0;
}

double Node::as_real() const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  const int64_t* integer = std::get_if<int64_t>(&value_);
  return integer ? static_cast<double>(*integer) : 0;
}

const std::string& Node::as_string() const {
  static const std::string kEmpty;
  const std::string* value = std::get_if<std::string>(&value_);
  return value ? *value : kEmpty;
}

const Node::Sequence& Node::items() const {
  static const Sequence kEmpty;
  const Sequence* value = std::get_if<Sequence>(&value_);
  return value ? *value : kEmpty;
}

const Node::Mapping& Node::entries() const {
  static const Mapping kEmpty;
  const Mapping* value = std::get_if<Mapping>(&value_);
  return value ? *value : kEmpty;
}

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries())
    if (entry.key == key) return &entry.value;
  return nullptr;
}

Node* Node::find(std::string_view key) {
  return const_cast<Node*>(std::as_const(*this).find(key));
}

const Node& Node::at(std::initializer_list<std::string_view> path) const {
  static const Node kNull;
  const Node* node = this;
  for (std::string_view key : path) {
    node = node->find(key);
    if (!node) return kNull;
  }
  return *node;
}

Node::Mapping& Node::as_mapping() {
  if (is_null()) value_ = Mapping();
  CHECK(is_mapping());
  return std::get<Mapping>(value_);
}

Node& Node::operator[](std::string_view key) {
  Mapping& mapping = as_mapping();
  for (Entry& entry : mapping)
    if (entry.key == key) return entry.value;
  return mapping.emplace_back(Entry{std::string(key), Node()}).value;
}

Node& Node::set(std::string_view key, Node value) {
  Node& place = (*this)[key];
  place = std::move(value);
  return place;
}

void Node::add_entry(Entry entry) {
  as_mapping().push_back(std::move(entry));
}

void Node::erase(std::string_view key) {
  if (!is_mapping()) return;
  std::erase_if(std::get<Mapping>(value_), [&](const Entry& entry) { return entry.key == key; });
}

Node& Node::append(Node value) {
  if (is_null()) value_ = Sequence();
  CHECK(is_sequence());
  return std::get<Sequence>(value_).emplace_back(std::move(value));
}

bool Node::operator==(const Node& other) const {
  return value_ == other.value_;
}

std::string describe(const Node& node) {
  switch (node.kind()) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kBool:
      return node.as_bool() ? "the boolean true" : "the boolean false";
    case Node::Kind::kInt:
      return fmt::format("the integer {}", node.as_int());
    case Node::Kind::kFloat:
      return fmt::format("the number {}", to_json(node, 0));
    case Node::Kind::kString:
      if (node.as_string().size() > 60) return "a long string";
      return fmt::format("the string {}", to_json(node, 0));
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMapping:
      return "a mapping";
  }
  return "nothing";
}

}  // namespace weft::objects
