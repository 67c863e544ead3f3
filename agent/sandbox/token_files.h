#pragma once
// The token files of a pod: one for each serviceAccountToken source of its projected volumes, as the kubelet
// writes them.
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"
#include "agent/sandbox/tokens.h"

namespace weft::sandbox {

struct TokenFile {
  std::string volume;    // name in spec.volumes
  std::string path;      // below the volume
  std::string audience;  // who may accept it
  std::chrono::seconds life{};
  uid_t owner = 0;  // user of the first container that mounts the volume: nobody else can read it
};

// What the pod asks for. Pure. A path that would leave the volume is an error.
[[nodiscard]] base::Result<std::vector<TokenFile>> token_files(const Json& pod);
// Where a projected volume lies; privileged pods see it there, others at their mountPath.
[[nodiscard]] std::string projected_dir(const Layout& layout, const Json& pod, const std::string& volume);

// Writes all of them anew below `volumes` (of the pod), each at once as a whole. How long until they have to
// be renewed (80 % of the shortest life), or nothing if the pod wants none.
[[nodiscard]] base::Result<std::optional<std::chrono::seconds>> write_tokens(
    const std::string& volumes, const TokenIssuer& issuer, const Json& pod,
    std::chrono::system_clock::time_point now);

}  // namespace weft::sandbox
