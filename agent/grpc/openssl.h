#pragma once
// OpenSSL's objects with owners, and the two things everybody needs of it: PEM in bounds, errors as text.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::grpc {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freed<X509_REQ_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<SSL_free>>;

inline constexpr size_t kMaxPem = 256 * 1024;       // bytes of one PEM text
inline constexpr size_t kMaxCertificates = 64;      // in one PEM text

// The newest error of this thread's queue, and empties the queue.
[[nodiscard]] std::string openssl_error();
[[nodiscard]] std::unexpected<base::Error> fail_openssl(base::ErrorKind kind, std::string what);

// A read-only view of `text`, which must outlive it.
[[nodiscard]] BioPtr bio_of(std::string_view text);
[[nodiscard]] std::string text_of(BIO& memory);

// Every certificate of a PEM text, at least one. kInvalid when something between BEGIN and END is none.
[[nodiscard]] base::Result<std::vector<CertificatePtr>> read_certificates(std::string_view pem);
// PKCS#8 or the key type's own form, unencrypted. kInvalid otherwise.
[[nodiscard]] base::Result<KeyPtr> read_private_key(std::string_view pem);
// The first request (PKCS#10) of a PEM text; its signature is not looked at.
[[nodiscard]] base::Result<RequestPtr> read_request(std::string_view pem);
[[nodiscard]] std::string write_certificate(const X509& certificate);  // PEM
[[nodiscard]] std::string write_private_key(const EVP_PKEY& key);      // PEM, PKCS#8

}  // namespace weft::grpc
