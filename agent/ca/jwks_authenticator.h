#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "agent/ca/authenticator.h"
#include "agent/ca/files.h"
#include "agent/ca/token.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/mutex.h"

namespace weft::ca {

// Proves tokens with the keys of a file, where no API server can be asked. It cannot know that a token was
// revoked; that its pod is gone, NodeAuthorizer sees. Owner: the control role, which calls refresh() from its
// loop; authenticate() from any thread.
class JwksAuthenticator final : public Authenticator {
 public:
  struct Options {
    std::string file;  // JWKS
    TokenRules rules;
    std::string cluster = "Kubernetes";  // our name; callers that name another are refused
  };
  JwksAuthenticator(Options options, const base::Clock& clock);

  [[nodiscard]] Judged<Caller> authenticate(std::string_view token, std::string_view cluster) override;

  // Reads the file if it has changed. A broken one is refused and the last good keys stay.
  void refresh();
  // Why the file as it is now is not in force; empty: it is. Thread: the loop's.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] uint64_t refused() const { return refused_; }

 private:
  [[nodiscard]] KeySetPtr keys() const;

  Options options_;
  const base::Clock& clock_;
  Stamp seen_{};
  bool looked_ = false;
  uint64_t refused_ = 0;
  std::string problem_;
  mutable base::Mutex mutex_;
  KeySetPtr keys_ GUARDED_BY(mutex_);
};

}  // namespace weft::ca
