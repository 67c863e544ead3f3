#pragma once
// What the callbacks of OpenSSL have to know of the connection they are called for (SSL_get_app_data).
#include <string>
#include <vector>

#include "userspace-proxy/model/identity.h"

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
  std::string untrusted;                  // why the peer's certificate was refused; empty: it was not
};

}  // namespace weft::tls
