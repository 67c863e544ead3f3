#pragma once
// The roots that peers are verified against. Immutable once made, handed to every worker.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

class TrustBundle;
using TrustBundlePtr = std::shared_ptr<const TrustBundle>;

class TrustBundle {
 public:
  static constexpr size_t kMaxRoots = 64;
  static constexpr size_t kMaxBytes = 256u << 10;

  // Any number of PEM certificates, each an anchor by itself (a root need not sign itself). kInvalid with the reason
  // when nothing usable is left or a block is no certificate; kLimit above the bounds. A certificate that cannot be
  // an anchor (no CA, or a key we cannot read) is skipped with a warning (identity.md 1). Twins count once.
  [[nodiscard]] static base::Result<TrustBundlePtr> parse(std::string_view pem, uint64_t generation);

  [[nodiscard]] uint64_t generation() const { return generation_; }
  [[nodiscard]] const std::vector<CertPtr>& roots() const { return roots_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  // Holds every root of `other`: nothing that verified under `other` can fail here.
  [[nodiscard]] bool covers(const TrustBundle& other) const;
  // For verification in any thread; it locks inside, so that workers make their own for handshakes.
  [[nodiscard]] X509_STORE* store() const { return store_.get(); }

 private:
  TrustBundle() = default;
  uint64_t generation_ = 0;
  std::vector<CertPtr> roots_;
  std::vector<std::string> warnings_;
  Owned<X509_STORE> store_;
};

}  // namespace weft::tls
