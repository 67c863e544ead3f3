#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace weft::ca {

// RFC 4648 5 without padding, as RFC 7515 2 wants it. Nothing for a letter outside the alphabet, a length that
// no bytes have, and bits left over that are not zero: each text has one meaning and each meaning one text.
[[nodiscard]] std::optional<std::string> decode_base64url(std::string_view text);

}  // namespace weft::ca
