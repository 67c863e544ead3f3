#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace weft::mirror {

// RFC 4648 section 4, padded, as values of a Secret are. Nothing for all else.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace weft::mirror
