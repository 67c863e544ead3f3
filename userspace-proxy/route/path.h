#pragma once
// Path normalisation, mode BASE of Istio's meshConfig.pathNormalization (http-semantics 11.5).
#include <string_view>

namespace weft::route {

enum class PathCheck : unsigned char {
  kNormal,   // in canonical form already: forward the bytes as they are
  kRewrite,  // normalise() changes it
  kRefuse,   // never forwarded: a fragment, a NUL (also %00), a control byte, a space, a byte above 0x7e
};

// `target` is path and query; the query takes no part, but is held to the same alphabet. "*" is normal.
[[nodiscard]] PathCheck check_target(std::string_view target);

// Writes the canonical form of `path` (no query; begins with '/') to `out`, which must have room for 3 *
// path.size() bytes, and returns what was written.
// - '\' becomes '/'
// - an escape of an unreserved character (RFC 3986 2.3) is decoded, any other keeps its byte and gets
// upper-case digits
// - characters that a path may not hold literally (" < > ` { }) are escaped
// - dot segments are removed, also those spelt %2e; slashes are not merged
// - a '%' without two digits is escaped: left alone it could become an escape with what is decoded behind it
[[nodiscard]] std::string_view normalise(std::string_view path, char* out);

struct Target {
  std::string_view path, query;
  bool has_query = false;
};
[[nodiscard]] Target split_target(std::string_view target);

}  // namespace weft::route
