#include "agent/parse/base64.h"

#include <cstdint>

namespace weft::parse {
namespace {

char letter_of(uint32_t value, Base64 form) {
  static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  if (value < kLetters.size()) return kLetters[value];
  if (form == Base64::kUrl) return value == 62 ? '-' : '_';
  return value == 62 ? '+' : '/';
}

int value_of(char c, Base64 form) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == letter_of(62, form)) return 62;
  return c == letter_of(63, form) ? 63 : -1;
}

}  // namespace

std::string encode_base64(std::string_view bytes, Base64 form) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  uint32_t held = 0;
  int bits = 0;
  for (const char c : bytes) {
    held = held << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out += letter_of(held >> (bits - 6) & 63, form);
  }
  if (bits > 0) out += letter_of(held << (6 - bits) & 63, form);
  if (form == Base64::kPlain) out.resize((out.size() + 3) / 4 * 4, '=');
  return out;
}

std::optional<std::string> decode_base64(std::string_view text, Base64 form) {
  if (form == Base64::kPlain) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const int value = value_of(c, form);
    if (value < 0) return std::nullopt;
    held = held << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(held >> bits & 0xff);
  }
  if ((held & ((1u << bits) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace weft::parse
