#pragma once
// Istio's Gateway, VirtualService and DestinationRule (networking.istio.io v1alpha3, v1beta1, v1: one
// schema). Hosts and gateway names are kept as written; completing them with the namespace is the reader's
// work.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/object.h"

namespace weft::objects {

struct GatewayServer {
  uint16_t port = 0;  // the Service's port
  std::string port_name;
  std::string protocol;  // upper case: HTTP, HTTP2, GRPC, HTTPS, TLS, TCP ...
  std::string name;
  std::vector<std::string> hosts;  // "[ns/]dnsName", ns may be "*" or "."
  bool https_redirect = false;
  std::string tls_mode;  // empty: no tls block
  // Has something weft cannot do yet (TLS termination, raw TCP, bind): the port stays closed.
  bool unsupported = false;
  Mark mark;
};

struct Gateway : Object {
  static constexpr Kind kKind = Kind::kGateway;
  Gateway() : Object(kKind) {}
  Labels selector;  // empty: every gateway pod
  std::vector<GatewayServer> servers;
};

// Exactly one form; `kPresent` is the empty match {} (headers, queryParams) or regex "*".
struct StringMatch {
  enum class Form : uint8_t { kExact, kPrefix, kRegex, kPresent };
  Form form = Form::kPresent;
  std::string value;
  bool operator==(const StringMatch&) const = default;
};
using NamedMatches = std::vector<std::pair<std::string, StringMatch>>;

// All present fields must hold. An optional StringMatch is a vector of none or one.
struct HttpMatch {
  std::string name;
  std::optional<StringMatch> uri, method, authority, scheme;
  bool ignore_uri_case = false;
  NamedMatches headers;  // names in lower case; the pseudo keys uri, scheme, method, authority are left out
  NamedMatches without_headers;  // the same
  NamedMatches query_params;
  uint32_t port = 0;                  // 0: any
  std::vector<std::string> gateways;  // empty: as the VirtualService says
  Labels source_labels;
  std::string source_namespace;
  // Has a condition weft cannot evaluate yet (JWT claims): must be taken as "does not match".
  bool unsupported = false;
  Mark mark;
};

struct HttpDestination {
  std::string host, subset;
  uint16_t port = 0;    // 0: not given
  uint32_t weight = 0;  // a single destination counts as everything
  Mark mark;
};

struct HttpRoute {
  enum class Action : uint8_t { kRoute, kRedirect, kDirectResponse, kDelegate };
  std::string name;
  std::vector<HttpMatch> match;  // OR; empty: everything
  Action action =
      Action::kRoute;  // only kRoute is served yet; the others must answer an error, never fall through
  std::vector<HttpDestination> route;
  Mark mark;
};

struct VirtualService : Object {
  static constexpr Kind kKind = Kind::kVirtualService;
  VirtualService() : Object(kKind) {}
  std::vector<std::string> hosts;
  std::vector<std::string> gateways{"mesh"};  // "mesh", "name" or "ns/name"
  std::vector<HttpRoute> http;
  std::vector<std::string> export_to;
  bool has_tls = false, has_tcp = false;  // not served yet
};

struct Subset {
  std::string name;
  Labels labels;
  Mark mark;
};

struct DestinationRule : Object {
  static constexpr Kind kKind = Kind::kDestinationRule;
  DestinationRule() : Object(kKind) {}
  std::string host;
  std::vector<Subset> subsets;
  bool selects_clients =
      false;  // has a workloadSelector, which is not served yet: must not be applied to everybody
  std::vector<std::string> export_to;
};

}  // namespace weft::objects
