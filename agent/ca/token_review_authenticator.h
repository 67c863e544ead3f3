#pragma once
#include <string>

#include "agent/ca/authenticator.h"
#include "agent/kube/reviews.h"

namespace weft::ca {

// Proves tokens by asking the API server (reference identity 2, step 1), so it knows of revoked tokens and
// deleted pods as well. Owner: the control role; `reviewer` outlives it. Thread: any.
class TokenReviewAuthenticator final : public Authenticator {
 public:
  struct Options {
    std::string audience = "istio-ca";
    std::string cluster = "Kubernetes";  // our name; callers that name another are refused
  };
  TokenReviewAuthenticator(Options options, kube::TokenReviewer& reviewer)
      : options_(std::move(options)), reviewer_(reviewer) {}

  // A service account's token for our audience, bound to a pod. Its node is said by servers from
  // Kubernetes 1.30 on; before, it is left to the index of pods. Who cannot be asked about is refused
  // (kNotReady).
  [[nodiscard]] Judged<Caller> authenticate(std::string_view token, std::string_view cluster) override;

 private:
  Options options_;
  kube::TokenReviewer& reviewer_;
};

// What a verdict is worth. Pure.
[[nodiscard]] Judged<Caller> caller_of(const kube::TokenVerdict& verdict);

}  // namespace weft::ca
