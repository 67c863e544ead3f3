#pragma once
// A worker's own OpenSSL: nothing shared with other threads, and only the algorithms that TLS here can meet.
#include <openssl/provider.h>
#include <openssl/ssl.h>

#include <memory>

#include "userspace-proxy/base/result.h"

namespace weft::tls {

// Two OSSL_LIB_CTX: one with OpenSSL's default provider, and over it the one to use, whose provider hands on the
// default one's algorithms but of key types and decoders only those of RSA, EC, X25519 and Ed25519. OpenSSL 3.0 walks
// through all of them for every certificate it decodes: that walk is most of the price of a decode (measured
// 2026-11-30: see README.md). AES-GCM comes from gcm_cipher.h where that has it. Public interfaces only; keys and certificates of other libraries can be used with it.
// Thread: the worker's.
class Library {
 public:
  [[nodiscard]] static base::Result<Library> create();
  [[nodiscard]] OSSL_LIB_CTX* get() const { return slim_.get(); }

  // Makes it this thread's default while it lives: OpenSSL decodes the certificate inside a ticket's session with
  // whatever is the default, once for making a ticket and once for taking one.
  class AsDefault {
   public:
    explicit AsDefault(const Library& library) : before_(OSSL_LIB_CTX_set0_default(library.get())) {}
    ~AsDefault() { OSSL_LIB_CTX_set0_default(before_); }
    AsDefault(const AsDefault&) = delete;
    AsDefault& operator=(const AsDefault&) = delete;

   private:
    OSSL_LIB_CTX* before_;
  };

 private:
  struct Free {
    void operator()(OSSL_LIB_CTX* library) const { OSSL_LIB_CTX_free(library); }
    void operator()(OSSL_PROVIDER* provider) const { OSSL_PROVIDER_unload(provider); }
  };
  Library() = default;
  // Die from the last to the first: a provider before its library, the slim one before what it runs on.
  std::unique_ptr<OSSL_LIB_CTX, Free> whole_;
  std::unique_ptr<OSSL_PROVIDER, Free> default_;
  std::unique_ptr<OSSL_LIB_CTX, Free> slim_;
  std::unique_ptr<OSSL_PROVIDER, Free> ours_;
};

}  // namespace weft::tls
