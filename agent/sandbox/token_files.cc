#include "agent/sandbox/token_files.h"

#include <unistd.h>

#include <algorithm>

#include "agent/sandbox/files.h"
#include "agent/sandbox/pod_spec.h"

namespace weft::sandbox {
namespace {

constexpr int64_t kShortestLife = 600, kLongestLife = 24 * 3600;  // the API server's own bounds, shortened

uid_t user_of_volume(const Json& pod, const std::string& volume) {
  const int64_t of_pod = int_at(pod, "spec.securityContext.runAsUser", 0);
  for (const char* list : {"spec.initContainers", "spec.containers"})
    for (const Json& container : list_at(pod, list))
      for (const Json& mount : list_at(container, "volumeMounts"))
        if (text_at(mount, "name") == volume)
          return static_cast<uid_t>(int_at(container, "securityContext.runAsUser", of_pod));
  return static_cast<uid_t>(of_pod);
}

}  // namespace

base::Result<std::vector<TokenFile>> token_files(const Json& pod) {
  std::vector<TokenFile> files;
  for (const Json& volume : list_at(pod, "spec.volumes"))
    for (const Json& source : list_at(volume, "projected.sources")) {
      const Json& token = at(source, "serviceAccountToken");
      const std::string name = text_at(volume, "name"), path = text_at(token, "path");
      if (!token.is_object())
        return base::fail(base::ErrorKind::kUnsupported,
                          "volume \"" + name + "\": the sandbox projects serviceAccountToken only");
      if (path.empty() || path.find('/') != std::string::npos || path.front() == '.')
        return base::fail(base::ErrorKind::kInvalid,
                          "volume \"" + name + "\": path \"" + path + "\" has to be a plain file name");
      const int64_t life = int_at(token, "expirationSeconds", kTokenLife.count());
      files.push_back({name, path, text_at(token, "audience", kTokenIssuer),
                       std::chrono::seconds(std::clamp(life, kShortestLife, kLongestLife)),
                       user_of_volume(pod, name)});
    }
  return files;
}

std::string projected_dir(const Layout& layout, const Json& pod, const std::string& volume) {
  return pod_dir(layout, pod) + "/volumes/" + volume;
}

base::Result<std::optional<std::chrono::seconds>> write_tokens(const std::string& volumes,
                                                               const TokenIssuer& issuer, const Json& pod,
                                                               std::chrono::system_clock::time_point now) {
  TRY_ASSIGN(const auto files, token_files(pod));
  std::optional<std::chrono::seconds> renew;
  for (const TokenFile& file : files) {
    const std::string dir = volumes + "/" + file.volume;
    TRY(make_directories(volumes));
    TRY(make_directories(dir, 0700));
    if (::chown(dir.c_str(), file.owner, file.owner) != 0) return base::fail_errno("chown " + dir);
    TRY_ASSIGN(const auto token,
               issuer.sign(TokenIssuer::claims(subject_of(pod), file.audience, now, file.life)));
    TRY(write_private_file(dir + "/" + file.path, token, file.owner));
    renew = std::min(renew.value_or(std::chrono::hours(24)), file.life * 4 / 5);
  }
  return renew;
}

}  // namespace weft::sandbox
