#include "agent/ca/signer.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "agent/ca/certificate.h"

namespace weft::ca {
namespace {

using Store = std::unique_ptr<X509_STORE, grpc::Freed<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, grpc::Freed<X509_STORE_CTX_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;
using Certificates = std::vector<grpc::CertificatePtr>;

std::unexpected<base::Error> in_file(const std::string& path, const std::string& what) {
  return base::fail(base::ErrorKind::kInvalid, path + ": " + what);
}

base::Result<Certificates> read_list(const std::string& path) {
  TRY_ASSIGN(const auto text, read_file(path));
  auto list = grpc::read_certificates(text);
  if (!list) return in_file(path, base::describe(list.error()));
  return list;
}

base::Status check_authority(const std::string& path, X509& certificate) {
  if (X509_check_ca(&certificate) != 1) return in_file(path, "not a CA certificate (basicConstraints CA:TRUE)");
  if ((X509_get_key_usage(&certificate) & KU_KEY_CERT_SIGN) == 0)
    return in_file(path, "its key usage does not allow keyCertSign");
  const EVP_PKEY* const key = X509_get0_pubkey(&certificate);
  const int kind = key == nullptr ? EVP_PKEY_NONE : EVP_PKEY_get_base_id(key);
  if (kind != EVP_PKEY_EC && kind != EVP_PKEY_RSA) return in_file(path, "its key is neither EC nor RSA");
  return {};
}

// The way from the signing certificate to a root, without the root: what a peer does not have. A root that
// signs itself leaves nothing.
base::Status find_chain(const CaFiles& files, const Certificates& roots, const Certificates& chain,
                        base::WallTime now, Signer& out) {
  const Store store(X509_STORE_new());
  const Stack untrusted(sk_X509_new_null());
  const StoreContext context(X509_STORE_CTX_new());
  CHECK(store && untrusted && context);
  for (const auto& root : roots) X509_STORE_add_cert(store.get(), root.get());
  for (const auto& link : chain) sk_X509_push(untrusted.get(), link.get());
  CHECK(X509_STORE_CTX_init(context.get(), store.get(), out.certificate.get(), untrusted.get()) == 1);
  X509_VERIFY_PARAM* const param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(param, std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  if (X509_verify_cert(context.get()) != 1)
    return in_file(files.certificate,
                   fmt::format("not below any of the {} roots in {}: {}", roots.size(), files.roots,
                               X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
  const STACK_OF(X509)* const found = X509_STORE_CTX_get0_chain(context.get());
  const int size = sk_X509_num(found);
  out.not_after = base::WallTime::max();
  for (int i = 0; i < size; ++i) {
    const X509& link = *sk_X509_value(found, i);
    out.not_after = std::min(out.not_after, wall_time_of(*X509_get0_notAfter(&link)));
    if (i + 1 < size) out.intermediates.push_back(grpc::write_certificate(link));
  }
  return {};
}

}  // namespace

base::Result<SignerPtr> read_signer(const CaFiles& files, base::WallTime now) {
  auto out = std::make_shared<Signer>();
  TRY_ASSIGN(auto own, read_list(files.certificate));
  out->certificate = std::move(own[0]);
  TRY_ASSIGN(auto key_text, read_file(files.key));
  auto key = grpc::read_private_key(key_text);
  OPENSSL_cleanse(key_text.data(), key_text.size());
  if (!key) return in_file(files.key, base::describe(key.error()));
  out->key = std::move(*key);
  TRY(check_authority(files.certificate, *out->certificate));
  if (X509_check_private_key(out->certificate.get(), out->key.get()) != 1)
    return in_file(files.key, "not the key of " + files.certificate);
  TRY_ASSIGN(const auto roots, read_list(files.roots));
  Certificates chain;
  if (exists(files.chain)) {
    TRY_ASSIGN(chain, read_list(files.chain));
  }
  TRY(find_chain(files, roots, chain, now, *out));
  for (const auto& root : roots) out->roots_pem += grpc::write_certificate(*root);
  out->roots = roots.size();
  return SignerPtr(std::move(out));
}

}  // namespace weft::ca
