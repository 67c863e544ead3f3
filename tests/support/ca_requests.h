#pragma once
// What callers of a CA bring: signing requests and tokens, right ones and wrong ones.
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <string>
#include <string_view>

#include "agent/grpc/openssl.h"
#include "agent/sandbox/tokens.h"

namespace weft::test {

// A PEM request of `key`. `names` as OpenSSL writes subjectAltName; empty: none.
inline std::string make_csr(EVP_PKEY& key, const std::string& names = "", const EVP_MD* digest = EVP_sha256(),
                            const std::string& common_name = "") {
  const grpc::RequestPtr request(X509_REQ_new());
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  X509_REQ_set_pubkey(request.get(), &key);
  if (!common_name.empty())
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  if (!names.empty()) {
    STACK_OF(X509_EXTENSION)* const list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str()));
    X509_REQ_add_extensions(request.get(), list);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
  CHECK(X509_REQ_sign(request.get(), &key, digest) > 0);
  const grpc::BioPtr bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1);
  return grpc::text_of(*bio);
}

inline grpc::KeyPtr ec_key(const char* curve = "P-256") {
  return grpc::KeyPtr(EVP_EC_gen(curve));
}

// An RSA issuer beside the sandbox's EC one.
class RsaIssuer {
 public:
  explicit RsaIssuer(unsigned bits = 2048) : key_(EVP_RSA_gen(bits)) {}

  [[nodiscard]] std::string jwks(const std::string& id = "rsa") const {
    return sandbox::Json{{"keys", {{{"kty", "RSA"}, {"kid", id}, {"n", number("n")}, {"e", number("e")}}}}}.dump();
  }
  [[nodiscard]] std::string sign(const sandbox::Json& header, const sandbox::Json& claims) const {
    const std::string text = sandbox::base64url(header.dump()) + "." + sandbox::base64url(claims.dump());
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    std::string out(static_cast<size_t>(EVP_PKEY_get_size(key_.get())), '\0');
    size_t size = out.size();
    CHECK(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
    CHECK(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size,
                         reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1);
    EVP_MD_CTX_free(context);
    return text + "." + sandbox::base64url(out);
  }
  // Its public half as PEM: what a verifier that confuses kinds of keys would take as a secret.
  [[nodiscard]] std::string public_pem() const {
    const grpc::BioPtr bio(BIO_new(BIO_s_mem()));
    CHECK(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
    return grpc::text_of(*bio);
  }

 private:
  [[nodiscard]] std::string number(const char* which) const {
    BIGNUM* raw = nullptr;
    CHECK(EVP_PKEY_get_bn_param(key_.get(), which, &raw) == 1);
    std::string bytes(static_cast<size_t>(BN_num_bytes(raw)), '\0');
    BN_bn2bin(raw, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(raw);
    return sandbox::base64url(bytes);
  }
  grpc::KeyPtr key_;
};

}  // namespace weft::test
