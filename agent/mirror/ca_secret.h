#pragma once
// The CA's files as a Secret: every replica of control, and whoever comes after it, signs with the same key.
#include <map>
#include <string>

#include "agent/ca/signer.h"
#include "agent/kube/client.h"
#include "userspace-proxy/base/clock.h"

namespace weft::mirror {

// The Secret's keys are Istio's file names: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem.
struct CaSecretOptions {
  std::string ns = "weft-system";
  // Looked at in this order; the first that is there counts, so that an operator's own CA wins over a made one.
  std::string plugged_in = "cacerts";
  std::string made = "weft-ca";
  std::string replica;    // name of this one among its peers
  std::string directory;  // the CA's, this replica's own
  std::string trust_domain;
};

// Blocking: each call waits for the API server, within the client's deadline. Thread: any one at a time.
class CaSecret {
 public:
  CaSecret(kube::Client& client, CaSecretOptions options) : client_(client), options_(std::move(options)) {}

  // The directory holds what the Secret holds. Where there is none, a root is made and becomes the Secret; of several
  // replicas that do so at once the API server lets one win, and the others take its root.
  base::Status open(base::WallTime now);
  // The same for later: what somebody changed in the Secret reaches the files; a Secret that was deleted comes back
  // as it was. True: files have changed.
  base::Result<bool> refresh();

 private:
  // What the Secret `name` holds; empty map: it is not there.
  using Files = std::map<std::string, std::string, std::less<>>;
  base::Result<Files> fetch(const std::string& name);
  base::Result<Files> fetch_any();
  base::Status write(const Files& files);
  base::Result<Files> read() const;
  // False: another was faster.
  base::Result<bool> store(const Files& files);

  kube::Client& client_;
  const CaSecretOptions options_;
  Files seen_;  // as last written into the directory, or stored
};

}  // namespace weft::mirror
