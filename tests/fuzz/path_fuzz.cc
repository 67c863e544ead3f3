// Any path: the canonical form is a fixed point, holds no dot segment and no byte that a target may not hold.
#include <cstdint>
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"
#include "userspace-proxy/route/path.h"

using namespace weft::route;

namespace {

std::string canonical(std::string_view path) {
  std::string out(path.size() * 3 + 1, '\0');
  return std::string(normalise(path, out.data()));
}

bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    const auto segment = path.substr(0, path.find('/'));
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(std::min(segment.size() + 1, path.size()));
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string target = "/" + std::string(reinterpret_cast<const char*>(data), size);
  const auto check = check_target(target);
  if (check == PathCheck::kRefuse) return 0;
  const auto parts = split_target(target);
  const auto once = canonical(parts.path);
  if (check == PathCheck::kNormal) CHECK(once == parts.path);
  CHECK(canonical(once) == once);
  CHECK(once.starts_with('/') && !has_dot_segment(once));
  CHECK(once.find('\\') == std::string::npos);
  CHECK(check_target(once) != PathCheck::kRefuse);
  return 0;
}
