#include <fmt/format.h>

#include <cmath>

#include "agent/objects/node.h"

namespace weft::objects {
namespace {

void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void write_real(std::string& out, double value) {
  // JSON has no word for these; null is what its readers expect in their place.
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  out += value == std::trunc(value) && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                              : fmt::format("{}", value);
}

struct Writer {
  std::string& out;
  int indent;

  void line(int depth) const {
    if (indent == 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent * depth), ' ');
  }

  void write_sequence(const Node::Sequence& items, int depth) const {
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ',';
      line(depth + 1);
      write(items[i], depth + 1);
    }
    if (!items.empty()) line(depth);
    out += ']';
  }

  void write_mapping(const Node::Mapping& entries, int depth) const {
    out += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += ',';
      line(depth + 1);
      write_string(out, entries[i].key);
      out += indent == 0 ? ":" : ": ";
      write(entries[i].value, depth + 1);
    }
    if (!entries.empty()) line(depth);
    out += '}';
  }

  void write(const Node& node, int depth) const {
    switch (node.kind()) {
      case Node::Kind::kNull:
        out += "null";
        return;
      case Node::Kind::kBool:
        out += node.as_bool() ? "true" : "false";
        return;
      case Node::Kind::kInt:
        out += std::to_string(node.as_int());
        return;
      case Node::Kind::kFloat:
        return write_real(out, node.as_real());
      case Node::Kind::kString:
        return write_string(out, node.as_string());
      case Node::Kind::kSequence:
        return write_sequence(node.items(), depth);
      case Node::Kind::kMapping:
        return write_mapping(node.entries(), depth);
    }
  }
};

}  // namespace

std::string to_json(const Node& node, int indent) {
  std::string out;
  Writer{out, indent}.write(node, 0);
  return out;
}

}  // namespace weft::objects
