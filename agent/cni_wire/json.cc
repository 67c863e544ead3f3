#include "agent/cni_wire/json.h"

#include <algorithm>
#include <charconv>

namespace weft::cni {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
  }
  out += static_cast<char>(0x80 | (code & 0x3f));
}

std::optional<uint32_t> hex4(std::string_view text) {
  uint32_t code = 0;
  if (text.size() < 4) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + 4, code, 16);
  if (error != std::errc{} || end != text.data() + 4) return std::nullopt;
  return code;
}

// Walks over a text once. After a failure at_ is where it happened.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[nodiscard]] size_t at() const { return at_; }
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }

  void blanks() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  // `depth`: how many more levels may open.
  bool value(int depth) {  // NOLINT(misc-no-recursion)
    switch (peek()) {
      case '{':
        return depth > 0 && object(depth - 1);
      case '[':
        return depth > 0 && array(depth - 1);
      case '"':
        return string(nullptr);
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  // Decodes into `out` unless that is null. A lone surrogate becomes U+FFFD.
  bool string(std::string* out) {
    if (!take('"')) return false;
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        if (out != nullptr) *out += c;
        continue;
      }
      if (!escape(out)) return false;
    }
    return false;
  }

 private:
  bool escape(std::string* out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (at_end()) return false;
    const char c = text_[at_++];
    if (c == 'u') return code_point(out);
    const size_t which = kNames.find(c);
    if (which == std::string_view::npos) return false;
    if (out != nullptr) *out += kMeant[which];
    return true;
  }

  bool code_point(std::string* out) {
    auto code = hex4(text_.substr(at_));
    if (!code) return false;
    at_ += 4;
    if (*code >= 0xd800 && *code < 0xdc00 && text_.substr(at_, 2) == "\\u") {
      const auto low = hex4(text_.substr(at_ + 2));
      if (low && *low >= 0xdc00 && *low < 0xe000) {
        at_ += 6;
        code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
      }
    }
    if (*code >= 0xd800 && *code < 0xe000) code = 0xfffd;
    if (out != nullptr) append_utf8(*code, *out);
    return true;
  }

  bool object(int depth) {  // NOLINT(misc-no-recursion)
    std::vector<std::string> keys;
    take('{');
    blanks();
    if (take('}')) return true;
    do {
      blanks();
      if (!string(&keys.emplace_back())) return false;
      blanks();
      if (!take(':')) return false;
      blanks();
      if (!value(depth)) return false;
      blanks();
    } while (take(','));
    if (!take('}')) return false;
    std::ranges::sort(keys);
    return std::ranges::adjacent_find(keys) == keys.end();
  }

  bool array(int depth) {  // NOLINT(misc-no-recursion)
    take('[');
    blanks();
    if (take(']')) return true;
    do {
      blanks();
      if (!value(depth)) return false;
      blanks();
    } while (take(','));
    return take(']');
  }

  bool word(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  bool digits() {
    const size_t begin = at_;
    while (is_digit(peek())) ++at_;
    return at_ > begin;
  }

  bool number() {
    (void)take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) (void)take('-');
    return digits();
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

base::Result<Json> Json::parse(std::string_view text) {
  if (text.size() > kMaxJsonBytes)
    return base::fail(base::ErrorKind::kLimit,
                      "the JSON text is longer than " + std::to_string(kMaxJsonBytes) + " bytes");
  Scanner scanner(text);
  scanner.blanks();
  const bool good = scanner.value(kMaxJsonDepth);
  if (good) scanner.blanks();
  if (!good || !scanner.at_end())
    return base::fail(base::ErrorKind::kInvalid,
                      "no JSON as it has to be (or a key twice, or nested too deeply), near byte " +
                          std::to_string(scanner.at()));
  return Json(trim(text));
}

Json::Kind Json::kind() const {
  if (text_.empty()) return Kind::kNone;
  switch (text_.front()) {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
    case 'f':
      return Kind::kBool;
    case 'n':
      return Kind::kNull;
    default:
      return Kind::kNumber;
  }
}

std::vector<Json::Member> Json::members() const {
  std::vector<Member> out;
  if (!is_object()) return out;
  Scanner scanner(text_);
  (void)scanner.take('{');
  scanner.blanks();
  if (scanner.peek() == '}') return out;
  do {
    Member& member = out.emplace_back();
    scanner.blanks();
    (void)scanner.string(&member.key);
    scanner.blanks();
    (void)scanner.take(':');
    scanner.blanks();
    const size_t begin = scanner.at();
    (void)scanner.value(kMaxJsonDepth);
    member.value = Json(text_.substr(begin, scanner.at() - begin));
    scanner.blanks();
  } while (scanner.take(','));
  return out;
}

Json Json::member(std::string_view key) const {
  for (const Member& one : members())
    if (one.key == key) return one.value;
  return {};
}

std::vector<Json> Json::items() const {
  std::vector<Json> out;
  if (!is_array()) return out;
  Scanner scanner(text_);
  (void)scanner.take('[');
  scanner.blanks();
  if (scanner.peek() == ']') return out;
  do {
    scanner.blanks();
    const size_t begin = scanner.at();
    (void)scanner.value(kMaxJsonDepth);
    out.push_back(Json(text_.substr(begin, scanner.at() - begin)));
    scanner.blanks();
  } while (scanner.take(','));
  return out;
}

std::optional<std::string> Json::as_string() const {
  if (kind() != Kind::kString) return std::nullopt;
  std::string out;
  Scanner scanner(text_);
  (void)scanner.string(&out);
  return out;
}

std::string Json::string_or(std::string_view other) const {
  return as_string().value_or(std::string(other));
}

std::optional<bool> Json::as_bool() const {
  if (kind() != Kind::kBool) return std::nullopt;
  return text_ == "true";
}

std::optional<int> Json::as_count() const {
  if (kind() != Kind::kNumber) return std::nullopt;
  int out = 0;
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), out);
  if (error != std::errc{} || end != text_.data() + text_.size() || out < 0) return std::nullopt;
  return out;
}

std::string quote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace weft::cni
