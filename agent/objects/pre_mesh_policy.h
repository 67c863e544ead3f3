#pragma once
// What becomes of connections that a pod had before it was enrolled. Pure.
//   weft.mesh/pre-mesh-connections   leave (default) | drain=DURATION | cut
// on a Namespace, and on a pod, whose own word goes first.
#include <optional>
#include <string>
#include <string_view>

#include "agent/objects/object.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::objects {

// The longest that may be waited for the end of a drain.
inline constexpr base::Nanos kMaxDrain = std::chrono::hours(30 * 24);

struct PreMeshPolicy {
  std::optional<base::Nanos> end_after;  // since enrolment, zero: at once; nothing: they are left
  auto operator<=>(const PreMeshPolicy&) const = default;
};

// Errors (kInvalid) are a sentence that names the word.
[[nodiscard]] base::Result<PreMeshPolicy> parse_pre_mesh_policy(std::string_view text);
// "leave", "cut", "drain=1m30s": as it is written.
[[nodiscard]] std::string to_string(const PreMeshPolicy& policy);

// What cannot be read means leave, whatever the other one says, since a connection that was ended does not come back;
// `problem` is then a sentence.
struct AnnotatedPreMesh {
  PreMeshPolicy policy;
  std::string problem;
  bool operator==(const AnnotatedPreMesh&) const = default;
};
[[nodiscard]] AnnotatedPreMesh read_pre_mesh(const Labels& of_pod, const Labels& of_namespace);

}  // namespace weft::objects
