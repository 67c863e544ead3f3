#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "agent/ca/signer.h"
#include "userspace-proxy/base/mutex.h"

namespace weft::ca {

// The signer that is in force. Follows the files of its directory; what does not hold together is refused with
// a reason and the last good one stays. Owner: the control role, which calls refresh() now and then from its
// loop. signer() from any thread.
class Authority {
 public:
  // Makes a root if there is none. An error is a boot error: a CA without a signer has nothing to offer.
  static base::Result<std::unique_ptr<Authority>> open(const std::string& directory,
                                                       const std::string& trust_domain, base::WallTime now);

  // True when a new signer is in force. Reads only when a file has changed or the last
  // reading was refused.
  bool refresh(base::WallTime now);

  [[nodiscard]] SignerPtr signer() const;
  [[nodiscard]] uint64_t generation() const { return generation_; }  // counts signers and bundles taken
  [[nodiscard]] uint64_t refused() const { return refused_; }
  // Why the files as they are now are not in force; empty: they are. Thread: the loop's.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  using Stamps = std::array<Stamp, 4>;
  explicit Authority(const std::string& directory) : files_(directory) {}
  [[nodiscard]] Stamps stamps() const;

  CaFiles files_;
  Stamps seen_{};
  uint64_t generation_ = 0, refused_ = 0;
  std::string problem_;
  mutable base::Mutex mutex_;
  SignerPtr signer_ GUARDED_BY(mutex_);
};

}  // namespace weft::ca
