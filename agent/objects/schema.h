#pragma once
// How the upstream API of a kind looks: every field, its type, and what weft does with it. Tables are
// constants that are written with the words below and read by check.cc.
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weft::objects::schema {

// What weft does with a field that is set. Below an unsupported or ignored field nothing more is said.
enum class Use : uint8_t {
  kServed,
  kRequired,     // served, and the object is refused without it
  kUnsupported,  // concerns the mesh but is not built yet: a warning with its path, in the object's status
  kIgnored,      // does not concern the mesh
};
using enum Use;

enum class Base : uint8_t {
  kString,
  kBool,
  kInt,
  kNumber,
  kDuration,  // "1.5s", Go's form
  kTime,      // RFC 3339
  kQuantity,  // "100m", "1Gi", or a number
  kIntOrString,
  kChoice,   // one of `words`
  kMessage,  // a mapping with the fields of `fields`
  kAny,      // free form
};
enum class Shape : uint8_t { kOne, kList, kMap };  // kMap: free keys

struct Field;

struct Type {
  Base base = Base::kString;
  Shape shape = Shape::kOne;
  int64_t least = 0, most = 0;    // kInt; both included
  std::string_view words = {};    // kChoice: "TCP|UDP|SCTP"
  const Field* fields = nullptr;  // kMessage
  size_t field_count = 0;
};

struct Field {
  std::string_view name;
  Type type;
  Use use = Use::kServed;
};

// The words of the tables.
inline constexpr Type kString{.base = Base::kString};
inline constexpr Type kBool{.base = Base::kBool};
inline constexpr Type kInt32{.base = Base::kInt, .least = INT32_MIN, .most = INT32_MAX};
inline constexpr Type kInt64{.base = Base::kInt, .least = INT64_MIN, .most = INT64_MAX};
inline constexpr Type kUint32{.base = Base::kInt, .least = 0, .most = UINT32_MAX};
inline constexpr Type kPort{.base = Base::kInt, .least = 1, .most = 65535};
inline constexpr Type kNumber{.base = Base::kNumber};
inline constexpr Type kDuration{.base = Base::kDuration};
inline constexpr Type kTime{.base = Base::kTime};
inline constexpr Type kQuantity{.base = Base::kQuantity};
inline constexpr Type kIntOrString{.base = Base::kIntOrString};
inline constexpr Type kAny{.base = Base::kAny};

constexpr Type in_shape(Type type, Shape shape) {
  type.shape = shape;
  return type;
}
constexpr Type list(Type type) {
  return in_shape(type, Shape::kList);
}
constexpr Type map(Type type) {
  return in_shape(type, Shape::kMap);
}
constexpr Type choice(std::string_view words) {
  return {.base = Base::kChoice, .words = words};
}

template <size_t N>
constexpr Type one(const Field (&fields)[N]) {
  return {.base = Base::kMessage, .fields = fields, .field_count = N};
}
template <size_t N>
constexpr Type list(const Field (&fields)[N]) {
  return list(one(fields));
}
template <size_t N>
constexpr Type map(const Field (&fields)[N]) {
  return map(one(fields));
}

inline constexpr Type kStrings = list(kString);
inline constexpr Type kStringMap = map(kString);

// The schema of each kind: the whole object, apiVersion and kind included.
extern const Type kNamespaceSchema;
extern const Type kNodeSchema;
extern const Type kPodSchema;
extern const Type kServiceSchema;
extern const Type kEndpointSliceSchema;
extern const Type kServiceAccountSchema;
extern const Type kDeploymentSchema;
extern const Type kGatewaySchema;
extern const Type kVirtualServiceSchema;
extern const Type kDestinationRuleSchema;
extern const Type kPeerAuthenticationSchema;
extern const Type kAuthorizationPolicySchema;
extern const Type kCaptureExclusionSchema;
// apiVersion, kind and metadata only: what is read of any object before its kind is known.
extern const Type kHeaderSchema;

}  // namespace weft::objects::schema
