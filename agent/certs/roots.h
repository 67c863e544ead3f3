#pragma once
// A trust bundle's content: the anchors that are believed at one time.
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::certs {

class Roots;
using RootsPtr = std::shared_ptr<const Roots>;

// Immutable, shared, for any thread.
class Roots {
 public:
  static constexpr size_t kMost = 64;

  // One PEM text with one or several roots (reference identity.md 1 and 5). A certificate that cannot be an
  // anchor (no CA) is left out and counted; none left, or a text that is not all X.509: kInvalid.
  static base::Result<RootsPtr> parse(std::string_view pem);

  // Written anew from what was understood: every anchor once, in order, nothing beside them.
  [[nodiscard]] const std::string& pem() const { return pem_; }
  [[nodiscard]] size_t count() const { return count_; }
  [[nodiscard]] size_t left_out() const { return left_out_; }
  [[nodiscard]] base::WallTime first_end() const { return first_end_; }  // when the first of them expires
  // SHA-256 of pem(), 16 hexadecimal digits: tells people whether two nodes hold the same.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }

  // Whether `leaf`, by way of `between`, leads to one of these anchors at `when`; else OpenSSL's sentence why
  // not. An anchor need not be self-signed.
  [[nodiscard]] base::Status judge(X509& leaf, const std::vector<X509*>& between, base::WallTime when) const;

 private:
  Roots() = default;
  void add(X509& certificate);

  std::string pem_, fingerprint_;
  size_t count_ = 0, left_out_ = 0;
  base::WallTime first_end_ = base::WallTime::max();
  std::unique_ptr<X509_STORE, grpc::Freed<X509_STORE_free>> store_;
};

}  // namespace weft::certs
