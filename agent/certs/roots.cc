#include "agent/certs/roots.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "agent/certs/pem.h"

namespace weft::certs {
namespace {

using ContextPtr = std::unique_ptr<X509_STORE_CTX, grpc::Freed<X509_STORE_CTX_free>>;
// The certificates stay their owners'.
struct StackFree {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), StackFree>;

std::string fingerprint_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  std::string out;
  for (size_t i = 0; i < 8; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

}  // namespace

void Roots::add(X509& certificate) {
  const std::string text = grpc::write_certificate(certificate);
  if (pem_.find(text) != std::string::npos) return;  // twice in the bundle
  CHECK(X509_STORE_add_cert(store_.get(), &certificate) == 1);
  pem_ += text;
  ++count_;
  first_end_ = std::min(first_end_, end_of(certificate));
}

base::Result<RootsPtr> Roots::parse(std::string_view pem) {
  TRY_ASSIGN(const auto certificates, read_strict(pem, kMost));
  auto roots = std::shared_ptr<Roots>(new Roots);
  roots->store_.reset(X509_STORE_new());
  CHECK(roots->store_ != nullptr);
  for (const auto& certificate : certificates) {
    if (X509_check_ca(certificate.get()) > 0)
      roots->add(*certificate);
    else
      ++roots->left_out_;
  }
  if (roots->count_ == 0)
    return base::fail(base::ErrorKind::kInvalid, "no certificate of an authority in the text");
  roots->fingerprint_ = fingerprint_of(roots->pem_);
  return RootsPtr(std::move(roots));
}

base::Status Roots::judge(X509& leaf, const std::vector<X509*>& between, base::WallTime when) const {
  const StackPtr stack(sk_X509_new_null());
  const ContextPtr context(X509_STORE_CTX_new());
  CHECK(stack != nullptr && context != nullptr);
  for (X509* certificate : between) CHECK(sk_X509_push(stack.get(), certificate) > 0);
  CHECK(X509_STORE_CTX_init(context.get(), store_.get(), &leaf, stack.get()) == 1);
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_CTX_set_time(context.get(), 0,
                          std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count());
  if (X509_verify_cert(context.get()) == 1) return {};
  const int error = X509_STORE_CTX_get_error(context.get());
  (void)grpc::openssl_error();  // said by the context already
  return base::fail(base::ErrorKind::kUntrusted, X509_verify_cert_error_string(error));
}

}  // namespace weft::certs
