// Unquoted scalars as kubectl reads them: the rules of go-yaml v2, which differ from YAML 1.1 in places (no
// base 60, dates stay strings, a leading 0 that is no octal number is read as a decimal float).
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "agent/objects/node.h"

namespace weft::objects {
namespace {

struct Word {
  std::string_view text;
  enum class Means : uint8_t { kTrue, kFalse, kNull, kNan, kInfinity, kMinusInfinity } means;
};

using enum Word::Means;
constexpr Word kWords[] = {
    {"y", kTrue},
    {"Y", kTrue},
    {"yes", kTrue},
    {"Yes", kTrue},
    {"YES", kTrue},
    {"true", kTrue},
    {"True", kTrue},
    {"TRUE", kTrue},
    {"on", kTrue},
    {"On", kTrue},
    {"ON", kTrue},
    {"n", kFalse},
    {"N", kFalse},
    {"no", kFalse},
    {"No", kFalse},
    {"NO", kFalse},
    {"false", kFalse},
    {"False", kFalse},
    {"FALSE", kFalse},
    {"off", kFalse},
    {"Off", kFalse},
    {"OFF", kFalse},
    {"", kNull},
    {"~", kNull},
    {"null", kNull},
    {"Null", kNull},
    {"NULL", kNull},
    {".nan", kNan},
    {".NaN", kNan},
    {".NAN", kNan},
    {".inf", kInfinity},
    {".Inf", kInfinity},
    {".INF", kInfinity},
    {"+.inf", kInfinity},
    {"+.Inf", kInfinity},
    {"+.INF", kInfinity},
    {"-.inf", kMinusInfinity},
    {"-.Inf", kMinusInfinity},
    {"-.INF", kMinusInfinity},
};

std::optional<Node> resolve_word(std::string_view text) {
  const auto* word = std::ranges::find(kWords, text, &Word::text);
  if (word == std::end(kWords)) return std::nullopt;
  switch (word->means) {
    case kTrue:
      return Node::boolean(true);
    case kFalse:
      return Node::boolean(false);
    case kNull:
      return Node();
    case kNan:
      return Node::real(std::numeric_limits<double>::quiet_NaN());
    case kInfinity:
      return Node::real(std::numeric_limits<double>::infinity());
    case kMinusInfinity:
      return Node::real(-std::numeric_limits<double>::infinity());
  }
  return std::nullopt;
}

// [+-]digits with the base from the prefix 0x, 0b, 0o or 0.
std::optional<Node> resolve_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  constexpr uint64_t kTop = uint64_t{1} << 63;
  if (negative && magnitude == kTop) return Node::integer(std::numeric_limits<int64_t>::min());
  // Beyond 63 bits there is no field anywhere that could take it; it keeps its size as a float.
  if (magnitude >= kTop)
    return Node::real(negative ? -static_cast<double>(magnitude) : static_cast<double>(magnitude));
  const auto value = static_cast<int64_t>(magnitude);
  return Node::integer(negative ? -value : value);
}

size_t skip_digits(std::string_view text, size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_like_float(std::string_view text) {
  size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const size_t whole = skip_digits(text, at);
  const bool has_whole = whole > at;
  at = whole;
  if (at < text.size() && text[at] == '.') {
    const size_t fraction = skip_digits(text, at + 1);
    if (!has_whole && fraction == at + 1) return false;
    at = fraction;
  } else if (!has_whole) {
    return false;
  }
  if (at < text.size() && (text[at] | 0x20) == 'e') {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const size_t exponent = skip_digits(text, at);
    if (exponent == at) return false;
    at = exponent;
  }
  return at == text.size();
}

std::optional<Node> resolve_float(std::string_view text) {
  if (!looks_like_float(text)) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return Node::real(value);
}

}  // namespace

Node resolve_plain(std::string_view text) {
  if (auto word = resolve_word(text)) return *std::move(word);
  const char first = text[0];  // the empty text was a word
  const bool numeric = (first >= '0' && first <= '9') || first == '-' || first == '+';
  if (!numeric && first != '.') return Node::string(std::string(text));
  std::string digits(text);
  if (numeric) std::erase(digits, '_');
  if (numeric)
    if (auto integer = resolve_integer(digits)) return *std::move(integer);
  if (auto real = resolve_float(digits)) return *std::move(real);
  return Node::string(std::string(text));
}

}  // namespace weft::objects
