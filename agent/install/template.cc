#include "agent/install/template.h"

#include "userspace-proxy/base/result.h"

namespace weft::install {
namespace {

using objects::Node;

const Node& value_of(const std::string& name, const Values& values) {
  const auto found = values.find(name);
  CHECK(found != values.end());
  return found->second;
}

Node fill_text(const std::string& text, const Values& values) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t hole = text.find("${", at);
    if (hole == std::string::npos) {
      out += text.substr(at);
      break;
    }
    const size_t end = text.find('}', hole);
    CHECK(end != std::string::npos);
    const Node& value = value_of(text.substr(hole + 2, end - hole - 2), values);
    if (hole == 0 && end + 1 == text.size()) return value;
    CHECK(value.is_string());
    out += text.substr(at, hole - at) + value.as_string();
    at = end + 1;
  }
  return Node::string(std::move(out));
}

}  // namespace

Node fill(const Node& node, const Values& values) {
  if (node.is_string()) return fill_text(node.as_string(), values);
  if (node.is_sequence()) {
    Node out = Node::sequence();
    for (const Node& item : node.items())
      if (Node filled = fill(item, values); !filled.is_null()) out.append(std::move(filled));
    return out;
  }
  if (!node.is_mapping()) return node;
  Node out = Node::mapping();
  for (const Node::Entry& entry : node.entries())
    if (Node filled = fill(entry.value, values); !filled.is_null()) out.set(entry.key, std::move(filled));
  return out;
}

}  // namespace weft::install
