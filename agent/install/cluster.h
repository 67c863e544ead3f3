#pragma once
// Objects of an installation in the API server.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kube/client.h"
#include "agent/kube/discovery.h"
#include "agent/objects/node.h"

namespace weft::install {

// The field manager of everything the installer applies.
inline constexpr std::string_view kManager = "weftctl";

// Reads and writes objects by what they say they are. Owner: a command. Thread: the caller's. `client` outlives it.
class Cluster {
 public:
  explicit Cluster(kube::Client& client, const kube::RequestLimits& limits = {})
      : client_(client), limits_(limits), discovery_(client) {}

  // The object of that kind, namespace and name as it is now; not_found() if there is none, or no such kind.
  [[nodiscard]] kube::ApiResult<objects::Node> read(const objects::Node& object);
  [[nodiscard]] kube::ApiResult<objects::Node> read(std::string_view api_version, std::string_view kind,
                                                    std::string_view ns, std::string_view name);
  // Server-side apply; takes fields from others, and tells nobody what is not in the server's schema (it is an error).
  [[nodiscard]] kube::ApiResult<objects::Node> apply(const objects::Node& object, bool dry_run);
  // RFC 7396.
  [[nodiscard]] kube::ApiResult<void> patch(const objects::Node& object, const objects::Node& patch);
  // Takes away what `manager` has applied to the object's status, and nothing of others.
  [[nodiscard]] kube::ApiResult<void> release_status(const objects::Node& object, std::string_view manager);
  // Not there is fine. `foreground`: it is gone only when what it made is.
  [[nodiscard]] kube::ApiResult<void> remove(const objects::Node& object, bool foreground = false);
  [[nodiscard]] kube::ApiResult<std::vector<objects::Node>> list(std::string_view api_version, std::string_view kind,
                                                                 std::string_view ns, std::string_view labels);
  // May the caller do that? In all namespaces if `ns` is empty.
  [[nodiscard]] kube::ApiResult<bool> may(std::string_view verb, const kube::Resource& resource, std::string_view ns);
  [[nodiscard]] kube::ApiResult<kube::Resource> resource_of(std::string_view api_version, std::string_view kind);
  [[nodiscard]] kube::Discovery& discovery() { return discovery_; }

 private:
  kube::Client& client_;
  const kube::RequestLimits limits_;  // of each call
  kube::Discovery discovery_;
};

// "daemonset.apps/weft-agent", and " in weft-system" where it lies in a namespace: as messages name an object.
[[nodiscard]] std::string title_of(const objects::Node& object);
// Carries the labels of ours (see render.h).
[[nodiscard]] bool is_ours(const objects::Node& object);

}  // namespace weft::install
