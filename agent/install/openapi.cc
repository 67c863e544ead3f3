#include "agent/install/openapi.h"

#include <span>
#include <string>
#include <string_view>

#include "agent/objects/values.h"

namespace weft::install {
namespace {

using objects::Node;
using objects::schema::Base;
using objects::schema::Field;
using objects::schema::Shape;
using objects::schema::Type;
using objects::schema::Use;

constexpr std::string_view kAnyField = "x-kubernetes-preserve-unknown-fields";
constexpr std::string_view kUnsupportedText = "weft does not support this field yet: it has no effect";

Node typed(std::string_view name) {
  Node node = Node::mapping();
  node.set("type", Node::string(std::string(name)));
  return node;
}

Node typed(std::string_view name, std::string_view format) {
  Node node = typed(name);
  node.set("format", Node::string(std::string(format)));
  return node;
}

Node flagged(std::string_view flag) {
  Node node = Node::mapping();
  node.set(flag, Node::boolean(true));
  return node;
}

Node integer(const Type& type) {
  if (type.least == INT32_MIN && type.most == INT32_MAX) return typed("integer", "int32");
  if (type.least == INT64_MIN && type.most == INT64_MAX) return typed("integer", "int64");
  Node node = typed("integer");
  node.set("minimum", Node::integer(type.least));
  node.set("maximum", Node::integer(type.most));
  return node;
}

Node choice(const Type& type) {
  Node words = Node::sequence();
  for (const std::string_view word : objects::split_words(type.words)) words.append(Node::string(std::string(word)));
  Node node = typed("string");
  node.set("enum", std::move(words));
  return node;
}

Node schema_of(const Type& type, bool quiet);

// `quiet`: below a field that has no effect as a whole, where nothing more is said.
Node message(const Type& type, bool quiet) {
  Node properties = Node::mapping(), required = Node::sequence();
  for (const Field& field : std::span<const Field>(type.fields, type.field_count)) {
    const bool idle = field.use == Use::kUnsupported || field.use == Use::kIgnored;
    Node property = schema_of(field.type, quiet || idle);
    if (field.use == Use::kUnsupported && !quiet)
      property.set("description", Node::string(std::string(kUnsupportedText)));
    properties.set(field.name, std::move(property));
    if (field.use == Use::kRequired) required.append(Node::string(std::string(field.name)));
  }
  Node node = typed("object");
  node.set("properties", std::move(properties));
  if (!required.items().empty()) node.set("required", std::move(required));
  return node;
}

// A single value.
Node one(const Type& type, bool quiet) {
  switch (type.base) {
    case Base::kString:
    case Base::kDuration:
      return typed("string");
    case Base::kBool:
      return typed("boolean");
    case Base::kInt:
      return integer(type);
    case Base::kNumber:
      return typed("number");
    case Base::kTime:
      return typed("string", "date-time");
    case Base::kQuantity:
    case Base::kIntOrString:
      return flagged("x-kubernetes-int-or-string");
    case Base::kChoice:
      return choice(type);
    case Base::kMessage:
      return message(type, quiet);
    case Base::kAny:
      return flagged(kAnyField);
  }
  return {};
}

Node schema_of(const Type& type, bool quiet) {
  if (type.shape == Shape::kOne) return one(type, quiet);
  Node node = typed(type.shape == Shape::kList ? "array" : "object");
  node.set(type.shape == Shape::kList ? "items" : "additionalProperties", one(type, quiet));
  return node;
}

}  // namespace

Node openapi_of(const Type& type) {
  return schema_of(type, false);
}

Node openapi_of_object(const Type& type) {
  Node node = schema_of(type, false);
  node["properties"].set("metadata", typed("object"));
  Node required = Node::sequence();
  for (const Node& name : node["required"].items())
    if (name.as_string() == "spec") required.append(name);
  node.erase("required");
  if (!required.items().empty()) node.set("required", std::move(required));
  return node;
}

Node openapi_of_anything() {
  Node node = typed("object");
  node.set(kAnyField, Node::boolean(true));
  return node;
}

}  // namespace weft::install
