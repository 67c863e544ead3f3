#pragma once
// JSON that came from elsewhere (CNI configuration, results of other plugins), read where it stands: a value
// is a piece of the text, so that what is passed on or kept is passed on byte for byte. RFC 8259, strictly; a
// key that occurs twice in an object is refused, since two readers might take two values.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::cni {

inline constexpr size_t kMaxJsonBytes = 1 << 20;
inline constexpr int kMaxJsonDepth = 64;

// A value inside a checked text, which outlives it. Cheap to copy; walking costs the length of what is walked
// over.
class Json {
 public:
  enum class Kind : uint8_t { kNone, kNull, kBool, kNumber, kString, kArray, kObject };
  struct Member;

  Json() = default;  // kNone: there is no such value
  // The whole text is one value.
  static base::Result<Json> parse(std::string_view text);

  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is_object() const { return kind() == Kind::kObject; }
  [[nodiscard]] bool is_array() const { return kind() == Kind::kArray; }
  [[nodiscard]] bool is_none() const { return text_.empty(); }
  // As it stands in the text, without the white space around it.
  [[nodiscard]] std::string_view text() const { return text_; }

  // Neutral where the kind is another.
  [[nodiscard]] Json member(std::string_view key) const;
  [[nodiscard]] std::vector<Member> members() const;
  [[nodiscard]] std::vector<Json> items() const;
  [[nodiscard]] std::optional<std::string> as_string() const;
  [[nodiscard]] std::string string_or(std::string_view other) const;
  [[nodiscard]] std::optional<bool> as_bool() const;
  // A number without fraction and exponent, in 0..2^31-1.
  [[nodiscard]] std::optional<int> as_count() const;

 private:
  explicit Json(std::string_view text) : text_(text) {}
  std::string_view text_;
};

struct Json::Member {
  std::string key;
  Json value;
};

// In quotes, escaped.
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace weft::cni
