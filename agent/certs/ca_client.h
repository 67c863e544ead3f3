#pragma once
// Who signs: the door to a certificate authority, as the desk and its clerks know it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/certs/roots.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/identity.h"

namespace weft::certs {

inline constexpr base::Millis kAskTimeout{10'000};  // of one request, connection included

struct Ask {
  uint64_t id = 0;  // the desk's own number
  model::SpiffeId identity;
  std::string request;  // PKCS#10, DER
  RootsPtr roots;       // whom to believe for the connection; null: the system's anchors
};

// cert_chain as it came, nothing checked: leaf, intermediates one an element, the roots in the last one.
struct Answer {
  std::vector<std::string> elements;
};

class CaClient {
 public:
  virtual ~CaClient() = default;
  // Blocks for at most about kAskTimeout; from any number of threads at once. kRefused: the CA said no; kNotFound: it asks
  // to come again soon (the pod was not seen there yet, or it is just starting); kUntrusted: who answered is not the CA;
  // other kinds: it could not be reached or understood.
  virtual base::Result<Answer> request(const Ask& ask) = 0;
};

}  // namespace weft::certs
