#pragma once
// What is wrong with a manifest, in words a user can act on.
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::objects {

enum class Kind : uint8_t {
  kNamespace,
  kNode,
  kPod,
  kService,
  kEndpointSlice,
  kServiceAccount,
  kDeployment,
  kGateway,
  kVirtualService,
  kDestinationRule,
  kPeerAuthentication,
  kAuthorizationPolicy,
  kCaptureExclusion,
};
inline constexpr size_t kKindCount = 13;

// "VirtualService"
[[nodiscard]] std::string_view name_of(Kind kind);
// Accepts what kubectl accepts: VirtualService, virtualservices, vs.
[[nodiscard]] std::optional<Kind> kind_of(std::string_view word);
[[nodiscard]] bool is_namespaced(Kind kind);

struct ObjectKey {
  Kind kind = Kind::kNamespace;
  std::string ns;  // empty for Namespace and Node
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};
// "VirtualService dev/httpgo", "Namespace dev"
[[nodiscard]] std::string to_string(const ObjectKey& key);

enum class Severity : uint8_t { kError, kWarning };

// Codes are stable words for tools. Errors, for which the file or the object is refused: Unreadable,
// TooLarge, YamlSyntax, DuplicateKey, NotAnObject, UnknownKind, UnsupportedKind, UnknownVersion,
// UnknownField, WrongType, MissingField, InvalidValue, DuplicateObject. Warnings: UnsupportedField,
// UnsupportedValue, NoEffect. Either: MoreFindings.
struct Finding {
  Severity severity = Severity::kError;
  std::string code;
  std::string file;   // empty: the object came from an API server, `path` is all there is of a place
  uint32_t line = 0;  // 1-based; 0: the whole file
  uint32_t column = 0;
  std::string path;                 // "spec.http[0].route[1].weight"; empty for the document
  std::string message;              // what is wrong, what was expected, what was meant
  std::optional<ObjectKey> object;  // where it is known
  bool operator==(const Finding&) const = default;
};

// "httpgo.yaml:12:5: error: spec.http[0].mach: unknown field, did you mean "match"? [UnknownField]"; without a file it
// begins with "error: "
[[nodiscard]] std::string to_string(const Finding& finding);
// Cuts a text that quotes a manifest to a length that fits a log line.
[[nodiscard]] std::string clip(std::string text);
[[nodiscard]] bool has_error(const std::vector<Finding>& findings);

}  // namespace weft::objects
