#pragma once
// What the callbacks of OpenSSL have to know of the connection they are called for (SSL_get_app_data).
#include <cstdint>
#include <string>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

class Contexts;

struct Connection {
  Contexts& contexts;
  bool server = false;
  model::SpiffeId own;                    // ours
  uint64_t epoch = 0;                     // of the Context it began with
  std::vector<model::SpiffeId> expected;  // client: whom the peer may be
  std::string resume_key;                 // client: where its session is kept; empty: nowhere
  bool peer_is_weft = false;              // the peer's hello carries our mark

  // Filled when the peer's certificate held, or from the session that was resumed.
  bool proven = false;
  model::SpiffeId peer;
  uint64_t generation = 0;                // of the trust bundle that it was verified with
  base::WallTime established;             // when its certificates were verified
  std::vector<CertPtr> resumed_intermediates;
  std::string untrusted;                  // why the peer's certificate was refused; empty: it was not

  // Whether the peer may be `id`: in our trust domain (server), among the expected (client). Else says why not.
  [[nodiscard]] bool accepts(const model::SpiffeId& id);
};

[[nodiscard]] inline Connection& connection_of(const SSL* ssl) {
  return *static_cast<Connection*>(SSL_get_app_data(ssl));
}

}  // namespace weft::tls
