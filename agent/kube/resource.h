#pragma once
// Names of resources, and the paths they live at (Kubernetes API concepts, "Resource URIs").
#include <optional>
#include <string>
#include <string_view>

#include "agent/objects/node.h"

namespace weft::kube {

struct Resource {
  std::string group;    // "" for the core group
  std::string version;  // "v1"
  std::string plural;   // "pods"
  std::string kind;     // "Pod"
  bool namespaced = true;

  [[nodiscard]] std::string api_version() const;  // "v1", "apps/v1"
  // The collection: of one namespace, or of all (or of a cluster-wide kind) if `ns` is empty.
  [[nodiscard]] std::string path(std::string_view ns) const;
  // One object. `ns` is left out for cluster-wide kinds. Segments are percent-encoded, so that no name leads
  // out of its place; is_path_segment() says which names can be asked for at all.
  [[nodiscard]] std::string path(std::string_view ns, std::string_view name,
                                 std::string_view subresource = {}) const;

  bool operator==(const Resource&) const = default;
};

// Neither empty nor "." or "..", no "/" or "%" (apimachinery's path.IsValidPathSegmentName), at most 253
// bytes.
[[nodiscard]] bool is_path_segment(std::string_view name);
// RFC 3986: everything but unreserved characters as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

// Kinds whose resource needs no question to the server: what Kubernetes itself serves and weft reads or
// writes, Istio's and the Gateway API's kinds. By api version and kind as an object has them ("apps/v1",
// "Deployment").
[[nodiscard]] std::optional<Resource> known_resource(std::string_view api_version, std::string_view kind);
// "apps/v1" -> group "apps", version "v1"; "v1" -> "", "v1"
struct GroupVersion {
  std::string group, version;
};
[[nodiscard]] GroupVersion split_api_version(std::string_view api_version);

// Where an object is; empty `ns` for cluster-wide kinds.
struct ObjectName {
  std::string ns, name;
  auto operator<=>(const ObjectName&) const = default;
};
[[nodiscard]] ObjectName name_of(const objects::Node& object);  // metadata.namespace, metadata.name

}  // namespace weft::kube
