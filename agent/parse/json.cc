#include "agent/parse/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <unordered_map>

namespace weft::parse {
namespace {

using base::ErrorKind;
using objects::Node;
namespace dom = simdjson::dom;

// Mappings up to this size are searched entry by entry for a key that was there before.
constexpr size_t kSmallMapping = 16;
// What a reader that is used again may keep between two texts.
constexpr size_t kKeptCapacity = 1u << 20;

std::unexpected<base::Error> parse_error(simdjson::error_code code) {
  const bool limit =
      code == simdjson::CAPACITY || code == simdjson::DEPTH_ERROR || code == simdjson::MEMALLOC;
  return base::fail(limit ? ErrorKind::kLimit : ErrorKind::kInvalid,
                    fmt::format("not JSON: {}", simdjson::error_message(code)));
}

// Gathers the entries of one mapping. The last of equal keys wins, in the place of the first.
class Entries {
 public:
  void add(std::string_view key, Node value) {
    if (Node* before = find(key)) {
      *before = std::move(value);
      return;
    }
    list_.push_back({std::string(key), std::move(value)});
    if (list_.size() > kSmallMapping) index();
  }
  [[nodiscard]] Node finish() {
    Node node = Node::mapping();
    for (Node::Entry& entry : list_) node.add_entry(std::move(entry));
    return node;
  }

 private:
  Node* find(std::string_view key) {
    if (list_.size() > kSmallMapping) {
      const auto found = places_.find(std::string(key));
      return found == places_.end() ? nullptr : &list_[found->second].value;
    }
    for (Node::Entry& entry : list_)
      if (entry.key == key) return &entry.value;
    return nullptr;
  }
  void index() {
    for (size_t i = places_.size(); i < list_.size(); ++i) places_.emplace(list_[i].key, i);
  }

  Node::Mapping list_;
  std::unordered_map<std::string, size_t> places_;  // empty while the mapping is small
};

// simdjson's tape -> Nodes. One element; its counts start anew for the next.
class Converter {
 public:
  explicit Converter(const JsonLimits& limits) : limits_(limits) {}

  // `unread`: what is left out below the element; null: nothing.
  base::Result<Node> convert(dom::element element, size_t depth, const Unread* unread = nullptr) {
    TRY(count(1));
    if (depth > limits_.depth)
      return base::fail(ErrorKind::kLimit, fmt::format("nested deeper than {} levels", limits_.depth));
    switch (element.type()) {
      case dom::element_type::ARRAY:
        return sequence(element, depth, unread);
      case dom::element_type::OBJECT:
        return mapping(element, depth, unread);
      default:
        return scalar(element);
    }
  }

 private:
  base::Status count(size_t nodes) {
    nodes_ += nodes;
    if (nodes_ <= limits_.nodes) return {};
    return base::fail(ErrorKind::kLimit, fmt::format("more than {} values", limits_.nodes));
  }

  base::Result<Node> scalar(dom::element element) {
    switch (element.type()) {
      case dom::element_type::STRING: {
        const std::string_view text = element.get_string().value_unsafe();
        TRY(count(text.size() / 64));
        return Node::string(std::string(text));
      }
      case dom::element_type::INT64:
        return Node::integer(element.get_int64().value_unsafe());
      case dom::element_type::UINT64:
        return Node::real(static_cast<double>(element.get_uint64().value_unsafe()));
      case dom::element_type::DOUBLE:
        return Node::real(element.get_double().value_unsafe());
      case dom::element_type::BOOL:
        return Node::boolean(element.get_bool().value_unsafe());
      default:
        return Node();
    }
  }

  base::Result<Node> sequence(dom::element element, size_t depth, const Unread* unread) {
    Node::Sequence items;
    const dom::array array = element.get_array().value_unsafe();  // a name: a loop over the result's own would dangle
    for (dom::element item : array) {
      TRY_ASSIGN(Node node, convert(item, depth + 1, unread));
      items.push_back(std::move(node));
    }
    return Node::sequence(std::move(items));
  }

  base::Result<Node> mapping(dom::element element, size_t depth, const Unread* unread) {
    Entries entries;
    const dom::object object = element.get_object().value_unsafe();
    for (const dom::key_value_pair field : object) {
      const Unread* const below = unread == nullptr ? nullptr : unread->find(field.key);
      if (below != nullptr && below->whole()) continue;
      TRY(count(field.key.size() / 64));
      TRY_ASSIGN(Node node, convert(field.value, depth + 1, below));
      entries.add(field.key, std::move(node));
    }
    return entries.finish();
  }

  const JsonLimits& limits_;
  size_t nodes_ = 0;
};

}  // namespace

Unread::Unread(const std::vector<std::string_view>& paths) {
  for (const std::string_view path : paths) add(path);
}

Unread Unread::below(std::string_view key, Unread fields) {
  Unread out;
  if (!fields.empty()) out.fields_.emplace_back(key, std::move(fields));
  return out;
}

void Unread::add(std::string_view path) {
  Unread* at = this;
  while (!path.empty()) {
    const std::string_view key = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), key.size() + 1));
    const auto found = std::ranges::find(at->fields_, key, &std::pair<std::string, Unread>::first);
    at = found != at->fields_.end() ? &found->second : &at->fields_.emplace_back(key, Unread()).second;
  }
  at->whole_ = true;
}

const Unread* Unread::find(std::string_view key) const {
  for (const auto& [name, below] : fields_)
    if (name == key) return &below;
  return nullptr;
}

struct JsonReader::Parser {
  std::unique_ptr<dom::parser> parser;

  base::Result<dom::element> parse(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.bytes)
      return base::fail(ErrorKind::kLimit,
                        fmt::format("{} bytes of JSON, at most {} are read", text.size(), limits.bytes));
    if (!parser) parser = std::make_unique<dom::parser>();
    // One level more than we admit: the tape's own root counts.
    if (parser->max_depth() != limits.depth + 2 || parser->capacity() < text.size()) {
      const auto error = parser->allocate(std::max<size_t>(text.size(), 4096), limits.depth + 2);
      if (error) return parse_error(error);
    }
    dom::element root;
    const auto error = parser->parse(text.data(), text.size(), /*realloc_if_needed=*/true).get(root);
    if (error) return parse_error(error);
    return root;
  }

  // A parser that has once seen a long list must not hold its memory for ever.
  void shrink() {
    if (parser && parser->capacity() > kKeptCapacity) parser.reset();
  }
};

JsonReader::JsonReader() : parser_(std::make_unique<Parser>()) {}
JsonReader::~JsonReader() = default;

base::Result<Node> JsonReader::read(std::string_view text, const JsonLimits& limits, const Unread& unread) {
  TRY_ASSIGN(dom::element root, parser_->parse(text, limits));
  auto node = Converter(limits).convert(root, 0, &unread);
  parser_->shrink();
  return node;
}

base::Result<Node> JsonReader::read_list(std::string_view text, std::string_view key, const Each& each,
                                         const JsonLimits& limits, const Unread& unread) {
  TRY_ASSIGN(dom::element root, parser_->parse(text, limits));
  dom::object object;
  if (root.get_object().get(object)) return base::fail(ErrorKind::kInvalid, "a list that is no JSON object");
  Entries rest;
  for (const dom::key_value_pair field : object) {
    if (field.key != key) {
      TRY_ASSIGN(Node node, Converter(limits).convert(field.value, 1));
      rest.add(field.key, std::move(node));
      continue;
    }
    rest.add(key, Node::sequence());
    if (field.value.is_null()) continue;  // Go writes an empty slice that was never made as null
    dom::array items;
    if (field.value.get_array().get(items))
      return base::fail(ErrorKind::kInvalid, fmt::format("\"{}\" of a list is no array", key));
    for (dom::element item : items) {
      TRY_ASSIGN(Node node, Converter(limits).convert(item, 2, &unread));
      TRY(each(std::move(node)));
    }
  }
  parser_->shrink();
  return rest.finish();
}

base::Result<Node> read_json(std::string_view text, const JsonLimits& limits) {
  return JsonReader().read(text, limits);
}

}  // namespace weft::parse
