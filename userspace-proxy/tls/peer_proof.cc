#include "userspace-proxy/tls/peer_proof.h"

#include <openssl/err.h>

namespace weft::tls {

bool PeerProof::still_holds(const TrustBundle& bundle) const {
  const Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (const auto& certificate : intermediates) sk_X509_push(chain, certificate.get());
  bool holds = X509_STORE_CTX_init(context.get(), bundle.store(), leaf.get(), chain) == 1;
  if (holds) {
    X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(
                                                  std::chrono::time_point_cast<std::chrono::system_clock::duration>(established)));
    holds = X509_verify_cert(context.get()) == 1;
  }
  sk_X509_free(chain);
  ERR_clear_error();
  return holds;
}

}  // namespace weft::tls
