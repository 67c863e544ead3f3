#include <algorithm>
#include <cmath>

#include "agent/objects/node.h"

namespace weft::objects {
namespace {

// Text that any YAML 1.1 reader takes for this very string without quotes: letters first, then letters,
// digits and a few marks that mean nothing inside a word. Everything else is quoted as JSON, which YAML reads
// alike.
bool plain_is_safe(std::string_view text) {
  if (text.empty()) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!letter(text.front()) && !digit(text.front()) && text.front() != '/' && text.front() != '.')
    return false;
  const bool harmless = std::ranges::all_of(
      text, [&](char c) { return letter(c) || digit(c) || std::string_view("-_./+@").contains(c); });
  if (!harmless || !resolve_plain(text).is_string()) return false;
  // Numbers with one dot or none were told apart above; dates and base-60 numbers are strings for kubectl but
  // not for every reader, and "..." ends a document.
  return std::ranges::any_of(text, letter) || (digit(text.front()) && std::ranges::count(text, '.') > 1);
}

struct Writer {
  std::string& out;

  void write_scalar(const Node& node) const {
    if (node.is_string() && plain_is_safe(node.as_string())) {
      out += node.as_string();
      return;
    }
    const double real = node.as_real();
    if (node.kind() != Node::Kind::kFloat || std::isfinite(real)) {
      out += to_json(node, 0);
      return;
    }
    out += std::isnan(real) ? ".nan" : real > 0 ? ".inf" : "-.inf";
  }

  // Readers give up looking for the ':' of a key after 1024 characters, unless "?" announces it.
  void write_key(std::string_view key, size_t indent) const {
    const bool is_long = key.size() > 128;
    if (is_long) out += "? ";
    write_scalar(Node::string(std::string(key)));
    if (!is_long) return;
    out += '\n';
    out.append(indent, ' ');
  }

  [[nodiscard]] static bool is_block(const Node& node) {
    return (node.is_mapping() && !node.entries().empty()) || (node.is_sequence() && !node.items().empty());
  }

  // Lists are not indented below their key, as kubectl writes them.
  void write_mapping(const Node& node, size_t indent, bool first_is_placed) const {
    for (const Node::Entry& entry : node.entries()) {
      if (!first_is_placed) out.append(indent, ' ');
      first_is_placed = false;
      write_key(entry.key, indent);
      out += ':';
      if (!is_block(entry.value)) {
        out += ' ';
        write_scalar(entry.value);
        out += '\n';
        continue;
      }
      out += '\n';
      write_block(entry.value, entry.value.is_mapping() ? indent + 2 : indent, false);
    }
  }

  void write_sequence(const Node& node, size_t indent, bool first_is_placed) const {
    for (const Node& item : node.items()) {
      if (!first_is_placed) out.append(indent, ' ');
      first_is_placed = false;
      out += "- ";
      if (is_block(item)) {
        write_block(item, indent + 2, true);
        continue;
      }
      write_scalar(item);
      out += '\n';
    }
  }

  void write_block(const Node& node, size_t indent, bool first_is_placed) const {
    if (node.is_mapping()) return write_mapping(node, indent, first_is_placed);
    write_sequence(node, indent, first_is_placed);
  }
};

}  // namespace

std::string to_yaml(const Node& node) {
  std::string out;
  if (Writer::is_block(node)) {
    Writer{out}.write_block(node, 0, false);
    return out;
  }
  Writer{out}.write_scalar(node);
  out += '\n';
  return out;
}

std::string to_yaml(const std::vector<Node>& documents) {
  std::string out;
  for (const Node& document : documents) {
    if (!out.empty()) out += "---\n";
    out += to_yaml(document);
  }
  return out;
}

}  // namespace weft::objects
