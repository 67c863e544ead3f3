#pragma once
// RFC 4648. Pure.
#include <optional>
#include <string>
#include <string_view>

namespace weft::parse {

enum class Base64 : uint8_t {
  kPlain,  // section 4, padded: Secrets, kubeconfigs
  kUrl,    // section 5, without padding: tokens and keys (RFC 7515 2)
};

[[nodiscard]] std::string encode_base64(std::string_view bytes, Base64 form);
// Strict: nothing but the form's own letters, padded as the form says, no bits left over.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text, Base64 form);

}  // namespace weft::parse
