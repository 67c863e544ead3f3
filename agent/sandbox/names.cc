#include "agent/sandbox/names.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "agent/objects/object.h"

namespace weft::sandbox {
namespace {

uint64_t random_number() {
  uint64_t number = 0;
  (void)!::getrandom(&number, sizeof number, 0);
  return number;
}

}  // namespace

std::string safe_letters(uint64_t number, size_t count) {
  static constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    out += kLetters[number % kLetters.size()];
    number /= kLetters.size();
  }
  return out;
}

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

std::string random_suffix() {
  return safe_letters(random_number(), 5);
}

std::string random_uid() {
  const uint64_t a = random_number(), b = random_number();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     0x8000 | ((b >> 48) & 0x3fff), b & 0xffffffffffffull);
}

std::string time_text(std::chrono::system_clock::time_point when) {
  return objects::to_string(std::chrono::floor<std::chrono::seconds>(when));
}

std::string now_text() {
  return time_text(std::chrono::system_clock::now());
}

}  // namespace weft::sandbox
