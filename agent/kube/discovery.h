#pragma once
// What an API server serves.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kube/client.h"
#include "agent/kube/resource.h"
#include "userspace-proxy/base/mutex.h"

namespace weft::kube {

struct ServerVersion {
  std::string git_version;  // "v1.36.4"
  int major = 0, minor = 0;
};

// Asks once and remembers. Thread: any. Owner: the caller; the client outlives it.
class Discovery {
 public:
  explicit Discovery(Client& client) : client_(client) {}

  [[nodiscard]] ApiResult<ServerVersion> server_version();
  // Versions of a group, the preferred one first. not_found(): no such group.
  [[nodiscard]] ApiResult<std::vector<std::string>> versions(std::string_view group);
  // The resource of an object's apiVersion and kind: the server's own word, for kinds that known_resource()
  // does not have too. not_found(): no such kind is served, for instance because its CRD is not there yet.
  [[nodiscard]] ApiResult<Resource> resource(std::string_view api_version, std::string_view kind);
  // All resources of "apps/v1", without subresources.
  [[nodiscard]] ApiResult<std::vector<Resource>> resources(std::string_view api_version);
  // After CRDs were made.
  void forget();

 private:
  Client& client_;
  base::Mutex mutex_;
  std::map<std::string, std::vector<Resource>, std::less<>> seen_ GUARDED_BY(mutex_);
};

// Answers of the server, read. Pure.
[[nodiscard]] std::vector<Resource> read_resource_list(const objects::Node& list,
                                                       std::string_view api_version);
[[nodiscard]] std::vector<std::string> read_group_versions(const objects::Node& group);
[[nodiscard]] ServerVersion read_version(const objects::Node& version);

}  // namespace weft::kube
