#include "agent/objects/pre_mesh_policy.h"

#include <fmt/format.h>

#include <array>

#include "agent/objects/annotations.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

constexpr std::string_view kDrain = "drain=";

// In Go's form, as parse_duration() reads it.
std::string duration_text(base::Nanos left) {
  static constexpr std::array<std::pair<base::Nanos, const char*>, 6> kUnits = {{
      {std::chrono::hours(1), "h"},
      {std::chrono::minutes(1), "m"},
      {std::chrono::seconds(1), "s"},
      {std::chrono::milliseconds(1), "ms"},
      {std::chrono::microseconds(1), "us"},
      {base::Nanos(1), "ns"},
  }};
  std::string out;
  for (const auto& [unit, name] : kUnits) {
    if (left < unit) continue;
    out += std::to_string(left / unit) + name;
    left %= unit;
  }
  return out;
}

}  // namespace

base::Result<PreMeshPolicy> parse_pre_mesh_policy(std::string_view text) {
  if (text == "leave") return PreMeshPolicy{};
  if (text == "cut") return PreMeshPolicy{.end_after = base::Nanos(0)};
  if (text.starts_with(kDrain)) {
    const auto time = parse_duration(text.substr(kDrain.size()));
    if (time && *time > base::Nanos(0) && *time <= kMaxDrain) return PreMeshPolicy{.end_after = time};
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("expected a time above 0 and up to {} after drain=, such as 30s, found {}",
                                  duration_text(kMaxDrain), in_quotes(text)));
  }
  return base::fail(base::ErrorKind::kInvalid,
                    fmt::format("expected leave, cut or drain=TIME, found {}", in_quotes(text)));
}

std::string to_string(const PreMeshPolicy& policy) {
  if (!policy.end_after) return "leave";
  if (*policy.end_after == base::Nanos(0)) return "cut";
  return std::string(kDrain) + duration_text(*policy.end_after);
}

AnnotatedPreMesh read_pre_mesh(const Labels& of_pod, const Labels& of_namespace) {
  const auto own = of_pod.find(kPreMeshAnnotation);
  const auto common = of_namespace.find(kPreMeshAnnotation);
  const bool is_own = own != of_pod.end();
  if (!is_own && common == of_namespace.end()) return {};
  auto read = parse_pre_mesh_policy(is_own ? own->second : common->second);
  if (read) return {.policy = *read, .problem = {}};
  return {.policy = {},
          .problem = fmt::format("annotation {}{}: {}; until it is mended they are left", kPreMeshAnnotation,
                                 is_own ? "" : " of the namespace", read.error().what)};
}

}  // namespace weft::objects
