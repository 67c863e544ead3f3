#pragma once
// The keys that sign tokens (RFC 7517): public halves of EC P-256 and RSA keys.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/result.h"

namespace weft::ca {

enum class TokenAlgorithm : uint8_t { kEs256, kRs256 };

struct TokenKey {
  std::string id;  // "kid"; may be empty
  TokenAlgorithm algorithm = TokenAlgorithm::kEs256;  // the one this key is for; no other is tried with it
  grpc::KeyPtr key;
};
using KeySet = std::vector<TokenKey>;
using KeySetPtr = std::shared_ptr<const KeySet>;

inline constexpr size_t kMaxKeys = 64;

// Keys of other kinds and uses are left out, since sets hold what others need as well. kInvalid when none is
// left, when one of ours is broken (a point off the curve, RSA below 2048 bits), or for more than kMaxKeys.
[[nodiscard]] base::Result<KeySetPtr> parse_jwks(std::string_view text);

}  // namespace weft::ca
