#include "agent/sandbox/json.h"

#include <fmt/format.h>

#include <algorithm>
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

bool plain_safe(const std::string& text) {
  if (text.empty()) return false;
  // Digits, signs, dots and the like may start numbers, dates or flow forms; letters may spell a boolean or null.
  static constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
  const unsigned char first = static_cast<unsigned char>(text.front());
  if (std::isalpha(first) == 0 && first != '/') return false;
  if (text.find_first_not_of(kPlain) != std::string::npos) return false;
  static constexpr std::string_view kWords[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kWords, lower) == std::end(kWords);
}

std::string scalar_yaml(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return plain_safe(text) ? text : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return value.dump();
}

void emit(const Json& value, int indent, std::string* out);

void emit_entry(const Json& value, int indent, std::string* out) {
  const bool nested = (value.is_object() || value.is_array()) && !value.empty();
  if (!nested) {
    *out += ' ';
    emit(value, indent, out);
    return;
  }
  *out += '\n';
  emit(value, indent, out);
}

void emit(const Json& value, int indent, std::string* out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, item] : value.items()) {
      *out += pad + scalar_yaml(Json(key)) + ':';
      emit_entry(item, item.is_array() ? indent : indent + 2, out);
    }
    return;
  }
  if (value.is_array() && !value.empty()) {
    for (const Json& item : value) {
      std::string text;
      emit(item, indent + 2, &text);
      if (text.size() > static_cast<size_t>(indent) + 2 && item.is_structured() && !item.empty())
        text.erase(0, static_cast<size_t>(indent) + 2);
      *out += pad + "- " + text;
    }
    return;
  }
  *out += scalar_yaml(value) + '\n';
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

bool has(const Json& object, std::string_view path) { return !at(object, path).is_null(); }

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

bool selects(const Json& selector, const Json& labels) {
  if (!selector.is_object() || selector.empty()) return false;
  for (const auto& [key, value] : selector.items()) {
    if (!labels.is_object()) return false;
    auto found = labels.find(key);
    if (found == labels.end() || scalar_text(*found) != scalar_text(value)) return false;
  }
  return true;
}

base::Result<Json> parse_json(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return base::fail(base::ErrorKind::kInvalid, "not a JSON document");
  return value;
}

std::string to_yaml(const Json& value) {
  std::string out;
  emit(value, 0, &out);
  return out;
}

}  // namespace weft::sandbox
