#pragma once
// Generated names and ids, and the times objects carry.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft::sandbox {

// The letters Kubernetes uses for generated names: none that could spell a word.
[[nodiscard]] std::string safe_letters(uint64_t number, size_t count);
// Stable over runs and machines (FNV-1a).
[[nodiscard]] uint64_t hash_of(std::string_view text);
[[nodiscard]] std::string random_suffix();
[[nodiscard]] std::string random_uid();
// RFC 3339 in UTC, whole seconds.
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point when);
[[nodiscard]] std::string now_text();

}  // namespace weft::sandbox
