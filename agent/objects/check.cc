#include "agent/objects/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "agent/objects/object.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

using schema::Base;
using schema::Field;
using schema::Shape;
using schema::Type;
using schema::Use;

std::span<const Field> fields_of(const Type& type) {
  return {type.fields, type.field_count};
}

std::string expected(const Type& type) {
  if (type.shape == Shape::kList) return "a list";
  if (type.shape == Shape::kMap) return "a mapping";
  switch (type.base) {
    case Base::kString:
      return "a string";
    case Base::kBool:
      return "true or false";
    case Base::kInt:
      if (type.most >= INT32_MAX && type.least != 0) return "an integer";
      if (type.most >= INT32_MAX) return "an integer of at least 0";
      return fmt::format("an integer from {} to {}", type.least, type.most);
    case Base::kNumber:
      return "a number";
    case Base::kDuration:
      return "a duration such as \"1.5s\"";
    case Base::kTime:
      return "a time such as \"2026-01-31T12:00:00Z\"";
    case Base::kQuantity:
      return "a quantity such as \"100m\" or \"1Gi\"";
    case Base::kIntOrString:
      return "an integer or a string";
    case Base::kChoice:
      return fmt::format("one of {}", fmt::join(split_words(type.words), ", "));
    case Base::kMessage:
      return "a mapping";
    case Base::kAny:
      return "anything";
  }
  return "";
}

bool is_one_of(std::string_view word, std::string_view words) {
  const auto all = split_words(words);
  return std::ranges::find(all, word) != all.end();
}

enum class Fit : uint8_t { kYes, kWrongType, kInvalid };

Fit fit_text(const Node& node, bool (*good)(std::string_view)) {
  if (!node.is_string()) return Fit::kWrongType;
  return good(node.as_string()) ? Fit::kYes : Fit::kInvalid;
}

Fit fit_integer(const Type& type, const Node& node) {
  const bool whole = node.kind() == Node::Kind::kInt ||
                     (node.kind() == Node::Kind::kFloat && std::isfinite(node.as_real()) &&
                      node.as_real() == std::trunc(node.as_real()) && std::abs(node.as_real()) < 9e18);
  if (!whole) return Fit::kWrongType;
  return node.as_int() >= type.least && node.as_int() <= type.most ? Fit::kYes : Fit::kInvalid;
}

bool is_number(const Node& node) {
  return node.kind() == Node::Kind::kInt ||
         (node.kind() == Node::Kind::kFloat && std::isfinite(node.as_real()));
}

// Whether a single value is of its type; lists, maps and messages are walked by Walker.
Fit fit(const Type& type, const Node& node) {
  switch (type.base) {
    case Base::kString:
      return node.is_string() ? Fit::kYes : Fit::kWrongType;
    case Base::kBool:
      return node.kind() == Node::Kind::kBool ? Fit::kYes : Fit::kWrongType;
    case Base::kInt:
      return fit_integer(type, node);
    case Base::kNumber:
      return is_number(node) ? Fit::kYes : Fit::kWrongType;
    case Base::kDuration:
      return fit_text(node, [](std::string_view text) { return parse_duration(text).has_value(); });
    case Base::kTime:
      return fit_text(node, [](std::string_view text) { return parse_time(text).has_value(); });
    case Base::kQuantity:
      return is_number(node) ? Fit::kYes : fit_text(node, is_quantity);
    case Base::kIntOrString:
      return node.is_string() ? Fit::kYes : fit_integer(schema::kInt32, node);
    case Base::kChoice:
      if (!node.is_string()) return Fit::kWrongType;
      return is_one_of(node.as_string(), type.words) ? Fit::kYes : Fit::kInvalid;
    case Base::kMessage:
      return node.is_mapping() ? Fit::kYes : Fit::kWrongType;
    case Base::kAny:
      return Fit::kYes;
  }
  return Fit::kWrongType;
}

bool wants_text(const Type& type) {
  return type.base == Base::kString || type.base == Base::kChoice || type.base == Base::kDuration;
}

// Walks node and schema side by side. `path_` grows and shrinks with the recursion, whose depth the YAML
// reader bounds.
class Walker {
 public:
  Walker(Report& report, Leniency leniency)
      : report_(report), leniency_(leniency), lenient_(leniency == Leniency::kAll) {}

  // `quiet`: below a field that is unsupported or ignored as a whole.
  void value(const Type& type, const Node& node, bool quiet) {
    if (type.shape == Shape::kList) return list(type, node, quiet);
    if (type.shape == Shape::kMap) return map(type, node, quiet);
    switch (fit(type, node)) {
      case Fit::kYes:
        break;
      case Fit::kWrongType:
        return wrong_type(type, node);
      case Fit::kInvalid:
        // A word, a time or a quantity of a newer release; numbers out of bounds would become others.
        if (lenient_ && node.is_string()) return;
        return invalid(type, node);
    }
    if (type.base == Base::kMessage) message(type, node, quiet);
  }

 private:
  void list(Type type, const Node& node, bool quiet) {
    if (!node.is_sequence()) return wrong_type(type, node);
    type.shape = Shape::kOne;
    for (size_t i = 0; i < node.items().size(); ++i) {
      const size_t length = path_.size();
      path_ += fmt::format("[{}]", i);
      value(type, node.items()[i], quiet);
      path_.resize(length);
    }
  }

  void map(Type type, const Node& node, bool quiet) {
    if (!node.is_mapping()) return wrong_type(type, node);
    type.shape = Shape::kOne;
    for (const Node::Entry& entry : node.entries()) {
      const size_t length = path_.size();
      path_ += fmt::format("[{}]", entry.key);
      value(type, entry.value, quiet);
      path_.resize(length);
    }
  }

  void message(const Type& type, const Node& node, bool quiet) {
    for (const Node::Entry& entry : node.entries()) {
      const size_t length = path_.size();
      if (!path_.empty()) path_ += '.';
      path_ += entry.key;
      const bool metadata = leniency_ == Leniency::kMetadata && length == 0 && entry.key == "metadata";
      if (metadata) lenient_ = true;
      field(type, entry, quiet);
      if (metadata) lenient_ = false;
      path_.resize(length);
    }
    for (const Field& wanted : fields_of(type)) {
      if (wanted.use != Use::kRequired || is_said_elsewhere(wanted)) continue;
      const Node* there = node.find(wanted.name);
      if (!there || there->is_null())
        report_.error(
            "MissingField", path_, node.mark(),
            fmt::format("the field \"{}\" is missing, {} is expected", wanted.name, expected(wanted.type)));
    }
  }

  // An API server's lists say once for all items what they are.
  [[nodiscard]] bool is_said_elsewhere(const Field& field) const {
    return leniency_ != Leniency::kNone && path_.empty() && (field.name == "apiVersion" || field.name == "kind");
  }

  void field(const Type& type, const Node::Entry& entry, bool quiet) {
    const auto fields = fields_of(type);
    const auto known = std::ranges::find(fields, entry.key, &Field::name);
    if (known == fields.end()) {
      if (!lenient_) unknown(fields, entry);
      return;
    }
    if (entry.value.is_null() || (lenient_ && known->use == Use::kIgnored)) return;
    if (known->use == Use::kUnsupported && !quiet)
      report_.warn("UnsupportedField", path_, entry.mark,
                   "weft does not support this field yet, it has no effect");
    value(known->type, entry.value, quiet || known->use == Use::kUnsupported || known->use == Use::kIgnored);
  }

  void unknown(std::span<const Field> fields, const Node::Entry& entry) {
    if (report_.full()) return report_.error("UnknownField", path_, entry.mark, "unknown field");
    std::vector<std::string_view> names;
    for (const Field& field : fields) names.push_back(field.name);
    const std::string_view meant = closest(entry.key, names);
    if (!meant.empty()) {
      report_.error("UnknownField", path_, entry.mark,
                    fmt::format("unknown field, did you mean \"{}\"?", meant));
      return;
    }
    const bool all = names.size() <= 12;
    if (!all) names.resize(12);
    report_.error(
        "UnknownField", path_, entry.mark,
        fmt::format("unknown field, expected one of {}{}", fmt::join(names, ", "), all ? "" : ", ..."));
  }

  void wrong_type(const Type& type, const Node& node) {
    std::string message = fmt::format("expected {}, found {}", expected(type), describe(node));
    const bool scalar = !node.is_mapping() && !node.is_sequence() && !node.is_null();
    if (type.shape == Shape::kOne && wants_text(type) && scalar) message += "; write it in quotes";
    if (type.shape == Shape::kOne && !wants_text(type) && node.is_string() &&
        fit(type, resolve_plain(node.as_string())) == Fit::kYes)
      message += "; write it without quotes";
    report_.error("WrongType", path_, node.mark(), std::move(message));
  }

  void invalid(const Type& type, const Node& node) {
    std::string message = fmt::format("expected {}, found {}", expected(type), describe(node));
    if (type.base == Base::kChoice) {
      const std::string_view meant = closest(node.as_string(), split_words(type.words));
      if (!meant.empty()) message += fmt::format(", did you mean {}?", meant);
    }
    report_.error("InvalidValue", path_, node.mark(), std::move(message));
  }

  Report& report_;
  const Leniency leniency_;
  bool lenient_;  // here and now
  std::string path_;
};

}  // namespace

void check(const Type& type, const Node& root, Report& report, Leniency leniency) {
  Walker(report, leniency).value(type, root, false);
}

}  // namespace weft::objects
