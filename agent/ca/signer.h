#pragma once
// What the CA signs with, as one immutable value, and the files it is read from.
#include <memory>
#include <string>
#include <vector>

#include "agent/ca/files.h"
#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/clock.h"

namespace weft::ca {

// Istio's names (its "cacerts" secret).
struct CaFiles {
  explicit CaFiles(const std::string& directory)
      : certificate(directory + "/ca-cert.pem"),
        key(directory + "/ca-key.pem"),
        roots(directory + "/root-cert.pem"),
        chain(directory + "/cert-chain.pem") {}
  std::string certificate;  // signs
  std::string key;          // its key
  std::string roots;        // the trust bundle, one root or several
  std::string chain;        // from the signing certificate upwards; may lack where that one is a root
};

struct Signer {
  grpc::CertificatePtr certificate;
  grpc::KeyPtr key;
  std::string roots_pem;                     // the bundle, each root written anew
  size_t roots = 0;
  std::vector<std::string> intermediates;    // PEM, from the signing certificate up to below the root; often none
  base::WallTime not_after{};                // the earliest end of the certificates in the chain
};
using SignerPtr = std::shared_ptr<const Signer>;

// kInvalid, with the file's name, for: a certificate that may not sign, a key that is not its, one that is not
// below any root of the bundle or not valid at `now`, a root that is no certificate.
[[nodiscard]] base::Result<SignerPtr> read_signer(const CaFiles& files, base::WallTime now);

// Makes key and root in `directory` unless they are there. Any number of callers at once leave one root behind.
// kConflict when some of the files are there and others are not: somebody is about to plug in his own.
[[nodiscard]] base::Status ensure_root(const std::string& directory, const std::string& trust_domain,
                                       base::WallTime now);

}  // namespace weft::ca
