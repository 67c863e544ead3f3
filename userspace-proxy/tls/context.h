#pragma once
// The two SSL_CTX of one identity in one worker, and the sessions its client side may resume.
#include "userspace-proxy/tls/contexts.h"
#include "userspace-proxy/tls/sessions.h"

namespace weft::tls {

class Context {
 public:
  // `store` and `generation` are those of the trust bundle; null and 0 when there is none yet.
  [[nodiscard]] static base::Result<std::unique_ptr<Context>> create(OSSL_LIB_CTX* library, CredentialPtr credential,
                                                                     uint64_t epoch);
  // From now on new handshakes believe these roots, and no ticket or session from before holds.
  [[nodiscard]] base::Status set_bundle(X509_STORE* store, uint64_t generation, const TicketSecret& secret);

  [[nodiscard]] const CredentialPtr& credential() const { return credential_; }
  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] SSL_CTX* server() const { return server_.get(); }
  [[nodiscard]] SSL_CTX* client() const { return client_.get(); }
  [[nodiscard]] Sessions& sessions() { return sessions_; }

 private:
  Context(CredentialPtr credential, uint64_t epoch) : credential_(std::move(credential)), epoch_(epoch) {}
  CredentialPtr credential_;
  uint64_t epoch_;
  Owned<SSL_CTX> server_, client_;
  Sessions sessions_;
};

}  // namespace weft::tls
