#pragma once
#include <string>
#include <string_view>

#include "agent/ca/reason.h"

namespace weft::ca {

// Who holds a token that was found good.
struct Caller {
  std::string ns, service_account;
  std::string pod, pod_uid;  // the token is bound to this pod
  std::string node;          // and to this node; empty where the issuer does not say
};

// Where tokens are proven: by keys we hold, or by asking an API server. Called from several threads.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // `cluster` as the caller names it; empty: the one we are in.
  [[nodiscard]] virtual Judged<Caller> authenticate(std::string_view token, std::string_view cluster) = 0;
};

}  // namespace weft::ca
