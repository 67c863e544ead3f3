#include "userspace-proxy/route/path.h"

#include <array>
#include <cstdint>

namespace weft::route {
namespace {

enum Class : uint8_t {
  kPlain = 0,   // stays
  kLook = 1,    // '%', '\\', '.': needs a closer look
  kEscape = 2,  // must be escaped in a path
  kBad = 4,
};

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c)
    if (c <= 0x20 || c >= 0x7f) classes[c] = kBad;
  classes['#'] = kBad;
  for (const char c : {'%', '\\', '.'}) classes[static_cast<uint8_t>(c)] = kLook;
  for (const char c : {'"', '<', '>', '`', '{', '}'}) classes[static_cast<uint8_t>(c)] = kEscape;
  return classes;
}
constexpr auto kClasses = make_classes();

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr char kHex[] = "0123456789ABCDEF";

constexpr bool unreserved(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// The byte that the escape at `i` stands for, or -1 when there is none.
int escape_at(std::string_view text, size_t i) {
  if (i + 2 >= text.size()) return -1;
  const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// A '.' matters only where a segment begins; elsewhere it is an ordinary character.
bool needs_look(std::string_view path, size_t i) {
  return path[i] != '.' || (i > 0 && path[i - 1] == '/');
}

struct Writer {
  char* begin;
  char* end;

  void put(char c) { *end++ = c; }
  void put_escape(int byte) {
    put('%');
    put(kHex[byte >> 4]);
    put(kHex[byte & 15]);
  }
  // What follows the last '/' that was written.
  [[nodiscard]] std::string_view last_segment() const {
    const char* start = end;
    while (start > begin && start[-1] != '/') --start;
    return {start, static_cast<size_t>(end - start)};
  }
  // At the end of a segment: "." vanishes, ".." takes the segment before it along. True when it was a dot
  // segment; then the output ends with '/'.
  bool fold_dots() {
    const auto segment = last_segment();
    if (segment != "." && segment != "..") return false;
    const bool up = segment == "..";
    end -= segment.size();
    if (!up || end - begin <= 1) return true;
    --end;
    while (end > begin && end[-1] != '/') --end;
    return true;
  }
};

}  // namespace

PathCheck check_target(std::string_view target) {
  if (target.empty()) return PathCheck::kRefuse;
  uint8_t seen = 0;
  size_t i = 0;
  for (; i < target.size() && target[i] != '?'; ++i) {
    const uint8_t c = kClasses[static_cast<uint8_t>(target[i])];
    if (c == kPlain) continue;
    if (c == kLook && !needs_look(target, i)) continue;
    if (target[i] == '%' && escape_at(target, i) == 0) return PathCheck::kRefuse;
    seen |= c;
  }
  for (; i < target.size(); ++i) seen |= kClasses[static_cast<uint8_t>(target[i])] & kBad;
  if ((seen & kBad) != 0) return PathCheck::kRefuse;
  return seen == 0 ? PathCheck::kNormal : PathCheck::kRewrite;
}

std::string_view normalise(std::string_view path, char* out) {
  Writer writer{out, out};
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '/' || c == '\\') {
      if (!writer.fold_dots()) writer.put('/');
      continue;
    }
    const int byte = c == '%' ? escape_at(path, i) : -1;
    if (byte >= 0) {
      i += 2;
      if (unreserved(byte))
        writer.put(static_cast<char>(byte));
      else
        writer.put_escape(byte);
      continue;
    }
    // A '%' on its own would make an escape together with what is decoded behind it.
    if (c == '%' || kClasses[static_cast<uint8_t>(c)] == kEscape)
      writer.put_escape(static_cast<uint8_t>(c));
    else
      writer.put(c);
  }
  writer.fold_dots();
  return {out, static_cast<size_t>(writer.end - writer.begin)};
}

Target split_target(std::string_view target) {
  const size_t mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}, false};
  return {target.substr(0, mark), target.substr(mark + 1), true};
}

}  // namespace weft::route
