#pragma once
// Questions to the API server about others: whose token is this (authentication.k8s.io/v1 TokenReview), may
// he do that (authorization.k8s.io/v1 SubjectAccessReview).
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kube/client.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/mutex.h"

namespace weft::kube {

struct TokenVerdict {
  bool authenticated = false;
  std::string error;     // why not, in the server's words
  std::string username;  // "system:serviceaccount:<ns>:<name>"
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::string> audiences;  // those asked for that the token is good for
  std::map<std::string, std::vector<std::string>, std::less<>> extra;

  // What a bound token says of itself; empty where it does not.
  [[nodiscard]] std::string pod_name() const { return first("authentication.kubernetes.io/pod-name"); }
  [[nodiscard]] std::string pod_uid() const { return first("authentication.kubernetes.io/pod-uid"); }
  [[nodiscard]] std::string node_name() const { return first("authentication.kubernetes.io/node-name"); }
  [[nodiscard]] std::string first(std::string_view key) const;
};
// status of a TokenReview. `audiences` as they were asked for: a server that does not know them answers
// without any, and is not believed (TokenReview's own documentation of status.audiences).
[[nodiscard]] TokenVerdict read_token_review(const objects::Node& review,
                                             std::span<const std::string> audiences);

// The door as others see it; tests put a fake here.
class TokenReviewer {
 public:
  virtual ~TokenReviewer() = default;
  // An error is no verdict: nobody could be asked. Thread: any.
  [[nodiscard]] virtual ApiResult<TokenVerdict> review(std::string_view token,
                                                       std::span<const std::string> audiences) = 0;
};

struct AccessQuestion {
  std::string user;
  std::vector<std::string> groups;
  std::string verb, group, resource, subresource, ns, name;
};
struct AccessVerdict {
  bool allowed = false;
  std::string reason;
};

struct ReviewCounters {
  std::atomic<uint64_t> asked{0};
  std::atomic<uint64_t> cached{0};
  std::atomic<uint64_t> errors{0};
};

// Verdicts on tokens are remembered for kRemember, refusals too, at most kMost of them, by SHA-256 of token
// and audiences: no token is kept. The API server remembers a good token for 10 s itself (measured
// with 1.36), so that of a deleted pod is believed for up to 20 s. Thread: any.
class Reviews final : public TokenReviewer {
 public:
  static constexpr base::Nanos kRemember = std::chrono::seconds(10);
  static constexpr size_t kMost = 4096;

  Reviews(Client& client, const base::Clock& clock) : client_(client), clock_(clock) {}

  [[nodiscard]] ApiResult<TokenVerdict> review(std::string_view token,
                                               std::span<const std::string> audiences) override;
  // Not remembered.
  [[nodiscard]] ApiResult<AccessVerdict> access(const AccessQuestion& question);
  [[nodiscard]] const ReviewCounters& counters() const { return counters_; }

 private:
  Client& client_;
  const base::Clock& clock_;
  ReviewCounters counters_;

  using Key = std::array<uint8_t, 32>;
  struct Remembered {
    TokenVerdict verdict;
    base::Instant until{};
  };
  base::Mutex mutex_;
  std::map<Key, Remembered> verdicts_ GUARDED_BY(mutex_);
};

}  // namespace weft::kube
