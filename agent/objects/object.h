#pragma once
// What all objects have in common.
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/finding.h"
#include "agent/objects/node.h"

namespace weft::objects {

using Labels = std::map<std::string, std::string>;
// Kubernetes time stamps have whole seconds.
using Time = std::chrono::sys_seconds;

// RFC 3339, "2026-01-31T12:00:00Z"; fractions are cut, offsets are applied.
[[nodiscard]] std::optional<Time> parse_time(std::string_view text);
[[nodiscard]] std::string to_string(Time time);

struct OwnerReference {
  std::string api_version, kind, name, uid;
  bool controller = false;
  bool operator==(const OwnerReference&) const = default;
};

struct Metadata {
  std::string name, ns, uid, resource_version;
  int64_t generation = 0;
  Labels labels, annotations;
  Time creation{};  // from the manifest, else the time its file was first seen
  std::optional<Time> deletion;
  std::vector<OwnerReference> owners;
  bool operator==(const Metadata&) const = default;
};

// Base of every kind; immutable once decoded and shared as ObjectPtr. Use as<Service>(object) to get at the
// kind.
struct Object {
  explicit Object(Kind k) : kind(k) {}
  virtual ~Object() = default;
  Object(const Object&) = default;
  Object& operator=(const Object&) = default;

  Kind kind;
  std::string api_version;  // "networking.istio.io/v1alpha3"
  Metadata meta;
  std::string file;  // where it was read; empty: from an API server
  Mark mark;
  bool refused = false;  // stands in for a form that was refused: see Decoded::stand_in
};
using ObjectPtr = std::shared_ptr<const Object>;

[[nodiscard]] ObjectKey key_of(const Object& object);

// The object as its kind, or nullptr if it is another one.
template <typename T>
[[nodiscard]] const T* as(const Object& object) {
  return object.kind == T::kKind ? static_cast<const T*>(&object) : nullptr;
}
template <typename T>
[[nodiscard]] std::shared_ptr<const T> as(const ObjectPtr& object) {
  return object && object->kind == T::kKind ? std::static_pointer_cast<const T>(object) : nullptr;
}

// Order of precedence wherever Istio says "first": oldest, then name, then namespace.
[[nodiscard]] bool older(const Object& a, const Object& b);

}  // namespace weft::objects
