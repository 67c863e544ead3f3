#pragma once
// Owners of the OpenSSL objects this room handles, and what OpenSSL last complained about.
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace weft::tls {

struct OpensslFree {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(X509_REQ* x) const { X509_REQ_free(x); }
  void operator()(X509_STORE* x) const { X509_STORE_free(x); }
  void operator()(X509_STORE_CTX* x) const { X509_STORE_CTX_free(x); }
  void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
  void operator()(SSL_CTX* x) const { SSL_CTX_free(x); }
  void operator()(SSL_SESSION* x) const { SSL_SESSION_free(x); }
  void operator()(BIO* x) const { BIO_free_all(x); }
  void operator()(BIO_METHOD* x) const { BIO_meth_free(x); }
  void operator()(GENERAL_NAMES* x) const { GENERAL_NAMES_free(x); }
};

template <typename T>
using Owned = std::unique_ptr<T, OpensslFree>;
using CertPtr = Owned<X509>;
using KeyPtr = Owned<EVP_PKEY>;

// One more owner of the same object; both types count their owners atomically.
[[nodiscard]] inline CertPtr share(X509* x) {
  X509_up_ref(x);
  return CertPtr(x);
}
[[nodiscard]] inline KeyPtr share(EVP_PKEY* x) {
  EVP_PKEY_up_ref(x);
  return KeyPtr(x);
}

// The oldest complaint in this thread's queue, in words; empties the queue.
[[nodiscard]] std::string openssl_complaint();

}  // namespace weft::tls
