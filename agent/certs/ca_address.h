#pragma once
// Where the CA is. The objects know the address of its Service; with that no certificate waits for the cluster's DNS,
// which may not be up yet, and may be captured by us.
#include <string>
#include <string_view>
#include <vector>

#include "agent/grpc/endpoint.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::certs {

// Any thread. The address is a hint, as what DNS says is: who answers there still has to prove the CA's name.
class CaAddress {
 public:
  explicit CaAddress(std::string endpoint);  // "host:port", as it was given

  // Takes the addresses of the Service that `host` names (name.namespace, with or without .svc and the cluster's domain).
  // One that is not there, or has no address, leaves nothing but the endpoint.
  void learn(const model::Snapshot& snapshot);

  // In the order in which to try them, at most three: the Service's addresses first, the endpoint last. Never empty.
  [[nodiscard]] std::vector<std::string> endpoints() const;
  // What a certificate has to say there, unless another name was asked for.
  [[nodiscard]] const std::string& host() const { return parts_.host; }

 private:
  const std::string endpoint_;
  const grpc::Endpoint parts_;
  mutable base::Mutex mutex_;
  std::vector<std::string> known_ GUARDED_BY(mutex_);
};

}  // namespace weft::certs
