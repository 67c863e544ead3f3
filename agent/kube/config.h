#pragma once
// Where the API server is, and how we prove who we are. TLS is verified always; there is no way to turn that
// off.
#include <memory>
#include <string>
#include <string_view>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/base/result.h"

namespace weft::kube {

// PEM text, as bytes or as the path of a file. Files are read anew at each connection, so renewed ones count.
struct Pem {
  std::string data, file;  // at most one of them
  [[nodiscard]] bool empty() const { return data.empty() && file.empty(); }
};

struct Config {
  std::string server;  // "https://10.0.0.1:6443", with an optional path, without a slash at its end
  std::string
      tls_server_name;     // the name to be found in the server's certificate; empty: the host of `server`
  Pem authority;           // roots; empty: the system's
  Pem certificate, key;    // both or none
  std::string token;       // never logged
  std::string token_file;  // wins over `token`
  std::string ns = "default";  // of whoever names none
  std::string origin;          // "in-cluster", or the kubeconfig and context it came from: for messages
  std::string user_agent = "weft";
};

// The pod's own account: KUBERNETES_SERVICE_HOST and _PORT, files in
// /var/run/secrets/kubernetes.io/serviceaccount. kNotFound: this is no pod, or it has no token.
struct InClusterPlace {
  std::string host, port;  // empty: as the environment says
  std::string directory = "/var/run/secrets/kubernetes.io/serviceaccount";
};
[[nodiscard]] base::Result<Config> in_cluster(const InClusterPlace& place = {});

// A kubeconfig (client.authentication.k8s.io is not spoken: exec plugins and auth providers are refused, so
// are insecure-skip-tls-verify, http:// servers, passwords and impersonation). Empty `context`:
// current-context. Relative paths in it are relative to its folder. At most 1 MiB.
[[nodiscard]] base::Result<Config> from_kubeconfig(const std::string& path, std::string_view context = {});
[[nodiscard]] base::Result<Config> parse_kubeconfig(std::string_view text, const std::string& path,
                                                    std::string_view context = {});

// As kubectl looks: `flag` (must be there if given), the first existing of $KUBECONFIG, ~/.kube/config, the
// pod's own. Unlike kubectl, several files are not merged. kNotFound names every place that was looked at.
[[nodiscard]] base::Result<Config> find_config(const std::string& flag, std::string_view context = {});

// The bearer token as it is now. A file is looked at once a second at most, and read again when it has
// changed (kubelet renews projected tokens at 80 % of their life). Thread: any.
class TokenSource {
 public:
  TokenSource(const Config& config, const base::Clock& clock);
  // Empty: none is used. An unreadable file is an error until a token was read once; then the last one stays.
  [[nodiscard]] base::Result<std::string> current();
  // The server refused it: look at the file at the next call, whatever the time.
  void refused();

 private:
  base::Status look() REQUIRES_LOCK(mutex_);

  const std::string file_;
  const base::Clock& clock_;
  base::Mutex mutex_;
  std::string token_ GUARDED_BY(mutex_);
  uint64_t stamp_ GUARDED_BY(mutex_) = 0;  // hash of inode, size and times of the file that was read
  base::Instant next_look_ GUARDED_BY(mutex_){};
};

}  // namespace weft::kube
