#include "agent/parse/yaml.h"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace weft::parse {
namespace {

using objects::Finding;
using objects::Mark;
using objects::Node;

Mark mark_of(const yaml_mark_t& mark) {
  return {static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
}

// Owns one event of libyaml.
struct Event {
  yaml_event_t raw{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw); }
  [[nodiscard]] Mark mark() const { return mark_of(raw.start_mark); }
};

std::string_view view(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

// Place of a byte, for errors that libyaml reports by offset only.
Mark mark_of_offset(std::string_view text, size_t offset) {
  Mark mark{1, 1};
  for (const char c : text.substr(0, std::min(offset, text.size()))) {
    ++mark.column;
    if (c == '\n') mark = {mark.line + 1, 1};
  }
  return mark;
}

// A tree builder on libyaml's events. Owner: read_yaml(). The first error ends it: failed_ is then set and
// every step returns at once.
class Reader {
 public:
  Reader(std::string_view text, const std::string& file, const YamlLimits& limits)
      : text_(text), file_(file), limits_(limits) {
    failed_ = yaml_parser_initialize(&parser_) == 0;
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  YamlResult read() {
    YamlResult result;
    while (!failed_) {
      Event event;
      if (!next(event) || event.raw.type == YAML_STREAM_END_EVENT) break;
      if (event.raw.type != YAML_DOCUMENT_START_EVENT) continue;
      Node root = document();
      if (!root.is_null()) result.documents.push_back({file_, std::move(root)});
    }
    if (!failed_) return result;
    return {{}, {std::move(error_)}};
  }

 private:
  bool next(Event& event) {
    if (failed_) return false;
    if (yaml_parser_parse(&parser_, &event.raw) != 0) return true;
    syntax_error();
    return false;
  }

  Node document() {
    anchors_.clear();
    Event event;
    if (!next(event)) return {};
    return value(event, 0);
  }

  Node value(const Event& event, size_t depth) {
    if (!count(1, event.mark())) return {};
    if (depth > limits_.depth) {
      fail("TooLarge", event.mark(), fmt::format("nested deeper than {} levels", limits_.depth));
      return {};
    }
    switch (event.raw.type) {
      case YAML_ALIAS_EVENT:
        return alias(event, depth);
      case YAML_SCALAR_EVENT:
        return anchored(event.raw.data.scalar.anchor, scalar(event));
      case YAML_SEQUENCE_START_EVENT:
        return anchored(event.raw.data.sequence_start.anchor, sequence(event, depth));
      case YAML_MAPPING_START_EVENT:
        return anchored(event.raw.data.mapping_start.anchor, mapping(event, depth));
      default:
        return {};  // the end of an empty document
    }
  }

  Node anchored(const yaml_char_t* anchor, Node node) {
    if (!anchor || failed_ || !count(extent(node).nodes, node.mark())) return node;
    anchors_.insert_or_assign(std::string(view(anchor)), node);
    return node;
  }

  Node alias(const Event& event, size_t depth) {
    const std::string_view name = view(event.raw.data.alias.anchor);
    const auto target = anchors_.find(name);
    if (target == anchors_.end()) {
      // An anchor is known only after its value: a value that contains itself ends here too.
      fail("YamlSyntax", event.mark(), fmt::format("the alias *{} has no anchor &{} before it", name, name));
      return {};
    }
    if (++aliases_ > limits_.aliases) {
      fail("TooLarge", event.mark(), fmt::format("more than {} aliases", limits_.aliases));
      return {};
    }
    const Extent copied = extent(target->second);
    if (depth + copied.depth > limits_.depth) {
      fail("TooLarge", event.mark(), fmt::format("nested deeper than {} levels", limits_.depth));
      return {};
    }
    if (!count(copied.nodes, event.mark())) return {};
    return target->second;
  }

  // What a copy costs, in nodes, and how deep it goes.
  struct Extent {
    size_t nodes = 1;
    size_t depth = 0;
    void add(const Extent& child) {
      nodes += child.nodes;
      depth = std::max(depth, child.depth + 1);
    }
  };
  static Extent extent(const Node& node) {
    Extent total{.nodes = 1 + node.as_string().size() / 64};
    for (const Node& item : node.items()) total.add(extent(item));
    for (const Node::Entry& entry : node.entries()) {
      total.add(extent(entry.value));
      total.nodes += 1 + entry.key.size() / 64;
    }
    return total;
  }

  Node scalar(const Event& event) {
    const auto& raw = event.raw.data.scalar;
    std::string text(reinterpret_cast<const char*>(raw.value), raw.length);
    const std::string_view tag = view(raw.tag);
    const bool plain = raw.style == YAML_PLAIN_SCALAR_STYLE;
    Node node = Node::string(text);
    if (tag.empty() ? plain : tag != "!" && tag != YAML_STR_TAG) node = objects::resolve_plain(text);
    node.set_mark(event.mark());
    if (!tag.empty()) check_tag(tag, node, event.mark());
    return node;
  }

  void check_tag(std::string_view tag, const Node& node, Mark mark) {
    using Kind = Node::Kind;
    const Kind kind = node.kind();
    const bool good =
        tag == "!" || tag == YAML_STR_TAG || (tag == YAML_INT_TAG && kind == Kind::kInt) ||
        (tag == YAML_BOOL_TAG && kind == Kind::kBool) || (tag == YAML_NULL_TAG && kind == Kind::kNull) ||
        (tag == YAML_FLOAT_TAG && (kind == Kind::kFloat || kind == Kind::kInt)) ||
        (tag == YAML_SEQ_TAG && kind == Kind::kSequence) || (tag == YAML_MAP_TAG && kind == Kind::kMapping);
    if (!good)
      fail("YamlSyntax", mark, fmt::format("the tag {} cannot be used on {}", tag, objects::describe(node)));
  }

  Node sequence(const Event& start, size_t depth) {
    Node::Sequence items;
    while (!failed_) {
      Event event;
      if (!next(event) || event.raw.type == YAML_SEQUENCE_END_EVENT) break;
      items.push_back(value(event, depth + 1));
    }
    Node node = Node::sequence(std::move(items));
    node.set_mark(start.mark());
    const std::string_view tag = view(start.raw.data.sequence_start.tag);
    if (!tag.empty()) check_tag(tag, node, start.mark());
    return node;
  }

  Node mapping(const Event& start, size_t depth) {
    Node node = Node::mapping();
    node.set_mark(start.mark());
    std::set<std::string> keys;
    std::vector<Node> merges;
    while (!failed_) {
      Event event;
      if (!next(event) || event.raw.type == YAML_MAPPING_END_EVENT) break;
      const bool merge = is_merge(event);
      auto key = read_key(event, depth + 1);
      Event value_event;
      if (!key || !next(value_event)) break;
      Node item = value(value_event, depth + 1);
      if (merge) {
        merges.push_back(std::move(item));
        continue;
      }
      if (!keys.insert(*key).second)
        fail("DuplicateKey", event.mark(), fmt::format("the key \"{}\" occurs twice in this mapping", *key));
      node.add_entry({*std::move(key), std::move(item), event.mark()});
    }
    for (const Node& merge : merges) apply_merge(node, keys, merge, start.mark());
    const std::string_view tag = view(start.raw.data.mapping_start.tag);
    if (!tag.empty()) check_tag(tag, node, start.mark());
    return node;
  }

  static bool is_merge(const Event& event) {
    if (event.raw.type != YAML_SCALAR_EVENT) return false;
    const auto& raw = event.raw.data.scalar;
    return raw.style == YAML_PLAIN_SCALAR_STYLE && view(raw.value) == "<<";
  }

  // "<<: *base": keys of the mapping itself win, then the earlier of several bases.
  void apply_merge(Node& node, std::set<std::string>& keys, const Node& merge, Mark mark) {
    if (merge.is_sequence()) {
      for (const Node& item : merge.items())
        apply_merge(node, keys, item.is_sequence() ? Node() : item, mark);
      return;
    }
    if (!merge.is_mapping()) {
      fail("YamlSyntax", mark, "a merge key \"<<\" needs a mapping or a list of mappings");
      return;
    }
    for (const Node::Entry& entry : merge.entries())
      if (keys.insert(entry.key).second) node.add_entry(entry);
  }

  // Keys that are numbers or booleans become their JSON spelling, as with kubectl ("yes:" is the key "true").
  std::optional<std::string> read_key(const Event& event, size_t depth) {
    const Node key = value(event, depth);
    if (failed_) return std::nullopt;
    if (key.is_string()) return key.as_string();
    if (!key.is_null() && !key.is_mapping() && !key.is_sequence()) return objects::to_json(key, 0);
    fail("YamlSyntax", event.mark(), fmt::format("a key must be a word, found {}", objects::describe(key)));
    return std::nullopt;
  }

  bool count(size_t nodes, Mark mark) {
    nodes_ += nodes;
    if (nodes_ <= limits_.nodes) return true;
    fail("TooLarge", mark, fmt::format("more than {} values", limits_.nodes));
    return false;
  }

  void fail(std::string_view code, Mark mark, std::string message) {
    if (failed_) return;
    failed_ = true;
    error_ = {.code = std::string(code),
              .file = file_,
              .line = mark.line,
              .column = mark.column,
              .message = objects::clip(std::move(message))};
  }

  void syntax_error() {
    std::string problem = parser_.problem ? parser_.problem : "out of memory";
    if (parser_.error == YAML_READER_ERROR)
      return fail("YamlSyntax", mark_of_offset(text_, parser_.problem_offset),
                  fmt::format("not YAML: {}", problem));
    const Mark mark = mark_of(parser_.problem_mark);
    if (parser_.context && parser_.context_mark.line + 1 != mark.line)
      problem += fmt::format(" ({}, which began in line {})", parser_.context, parser_.context_mark.line + 1);
    if (problem.starts_with("found character that cannot start any token") && has_tab(mark.line))
      problem = "a tab stands where spaces must be; YAML does not allow tabs for indentation";
    fail("YamlSyntax", mark, fmt::format("not YAML: {}", problem));
  }

  [[nodiscard]] bool has_tab(uint32_t line) const {
    std::string_view rest = text_;
    for (uint32_t i = 1; i < line; ++i) {
      const size_t end = rest.find('\n');
      if (end == std::string_view::npos) return false;
      rest.remove_prefix(end + 1);
    }
    return rest.substr(0, rest.find('\n')).contains('\t');
  }

  std::string_view text_;
  const std::string& file_;
  const YamlLimits& limits_;
  yaml_parser_t parser_{};
  std::map<std::string, Node, std::less<>> anchors_;
  size_t nodes_ = 0;
  size_t aliases_ = 0;
  bool failed_ = false;
  Finding error_;
};

}  // namespace

YamlResult read_yaml(std::string_view text, const std::string& file, const YamlLimits& limits) {
  if (text.size() > limits.bytes) {
    Finding finding{
        .code = "TooLarge",
        .file = file,
        .message = fmt::format("the file has {} bytes, at most {} are read", text.size(), limits.bytes)};
    return {{}, {std::move(finding)}};
  }
  return Reader(text, file, limits).read();
}

}  // namespace weft::parse
