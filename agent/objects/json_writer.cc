#include <fmt/format.h>

#include <cmath>

#include "agent/objects/node.h"

namespace weft::objects {
namespace {

// Characters that JSON admits as they are but a YAML reader does not, or takes for the end of a line: C1
// controls, line and paragraph separators, the byte order mark, non-characters. Returns the code point of the
// sequence at `at`, or 0.
uint32_t troublesome(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> uint32_t {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) < 0xa0) return byte(1);
  if (byte(0) == 0xe2 && byte(1) == 0x80 && (byte(2) == 0xa8 || byte(2) == 0xa9))
    return 0x2000 | (byte(2) & 0x3f);
  if (byte(0) == 0xef && byte(1) == 0xbb && byte(2) == 0xbf) return 0xfeff;
  if (byte(0) == 0xef && byte(1) == 0xbf && (byte(2) == 0xbe || byte(2) == 0xbf))
    return 0xffc0 | (byte(2) & 0x3f);
  return 0;
}

void write_char(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
    out += c;
    return;
  }
  out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
}

void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t at = 0; at < text.size(); ++at) {
    const uint32_t code = troublesome(text, at);
    if (code == 0) {
      write_char(out, text[at]);
      continue;
    }
    out += fmt::format("\\u{:04x}", code);
    at += code < 0x100 ? 1 : 2;
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
