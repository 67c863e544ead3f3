#pragma once
// JSON from outside (tokens, key sets): bounded, and read in one way only.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"

namespace weft::ca {

using Json = nlohmann::json;
inline constexpr int kMaxJsonDepth = 16;

// An object. Refused: anything else, a key that occurs twice (two readers might take two values), deeper
// nesting than kMaxJsonDepth, bytes that are no UTF-8.
[[nodiscard]] base::Result<Json> parse_object(std::string_view text);
// The value at `key`; null if there is none or `object` is no object.
[[nodiscard]] const Json& member(const Json& object, std::string_view key);
// The string at `key`; empty if there is none.
[[nodiscard]] std::string string_at(const Json& object, std::string_view key);

}  // namespace weft::ca
