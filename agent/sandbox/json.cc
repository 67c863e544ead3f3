#include "agent/sandbox/json.h"

#include <charconv>

namespace weft::sandbox {
namespace {

const Json kNothing;
const Json::array_t kNoItems;

const Json* step(const Json& value, std::string_view key) {
  if (value.is_object()) {
    auto found = value.find(std::string(key));
    return found == value.end() ? nullptr : &*found;
  }
  if (!value.is_array()) return nullptr;
  size_t index = 0;
  auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size() || index >= value.size()) return nullptr;
  return &value[index];
}

}  // namespace

const Json& at(const Json& object, std::string_view path) {
  const Json* here = &object;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    here = step(*here, path.substr(0, dot));
    if (here == nullptr) return kNothing;
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return *here;
}

std::string text_at(const Json& object, std::string_view path, std::string_view otherwise) {
  const Json& value = at(object, path);
  return value.is_string() ? value.get<std::string>() : std::string(otherwise);
}

int64_t int_at(const Json& object, std::string_view path, int64_t otherwise) {
  const Json& value = at(object, path);
  return value.is_number_integer() ? value.get<int64_t>() : otherwise;
}

bool bool_at(const Json& object, std::string_view path, bool otherwise) {
  const Json& value = at(object, path);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

bool has(const Json& object, std::string_view path) {
  return !at(object, path).is_null();
}

const Json::array_t& list_at(const Json& object, std::string_view path) {
  const Json& value = at(object, path);
  return value.is_array() ? value.get_ref<const Json::array_t&>() : kNoItems;
}

std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? "" : value.dump();
}

std::vector<std::pair<std::string, std::string>> pairs_at(const Json& object, std::string_view path) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const Json& map = at(object, path);
  if (!map.is_object()) return pairs;
  for (const auto& [key, value] : map.items()) pairs.emplace_back(key, scalar_text(value));
  return pairs;
}

std::string label_of(const Json& object, const std::string& key) {
  const Json& labels = at(object, "metadata.labels");
  if (!labels.is_object()) return "";
  auto found = labels.find(key);
  return found == labels.end() ? "" : scalar_text(*found);
}

bool selects(const Json& selector, const Json& labels) {
  if (!selector.is_object() || selector.empty()) return false;
  for (const auto& [key, value] : selector.items()) {
    if (!labels.is_object()) return false;
    auto found = labels.find(key);
    if (found == labels.end() || scalar_text(*found) != scalar_text(value)) return false;
  }
  return true;
}

Json from_node(const objects::Node& node) {
  switch (node.kind()) {
    case objects::Node::Kind::kNull:
      return nullptr;
    case objects::Node::Kind::kBool:
      return node.as_bool();
    case objects::Node::Kind::kInt:
      return node.as_int();
    case objects::Node::Kind::kFloat:
      return node.as_real();
    case objects::Node::Kind::kString:
      return node.as_string();
    case objects::Node::Kind::kSequence:
      break;
    case objects::Node::Kind::kMapping:
      break;
  }
  Json out = node.is_mapping() ? Json::object() : Json::array();
  for (const auto& entry : node.entries()) out[entry.key] = from_node(entry.value);
  for (const auto& item : node.items()) out.push_back(from_node(item));
  return out;
}

objects::Node to_node(const Json& value) {
  using objects::Node;
  if (value.is_boolean()) return Node::boolean(value.get<bool>());
  if (value.is_number_integer()) return Node::integer(value.get<int64_t>());
  if (value.is_number()) return Node::real(value.get<double>());
  if (value.is_string()) return Node::string(value.get<std::string>());
  if (value.is_null()) return {};
  Node out = value.is_object() ? Node::mapping() : Node::sequence();
  if (value.is_object())
    for (const auto& [key, item] : value.items()) out.set(key, to_node(item));
  if (value.is_array())
    for (const Json& item : value) out.append(to_node(item));
  return out;
}

base::Result<Json> parse_json(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return base::fail(base::ErrorKind::kInvalid, "not a JSON document");
  return value;
}

std::string to_yaml(const Json& value) {
  return objects::to_yaml(to_node(value));
}

}  // namespace weft::sandbox
