#pragma once
// Keys and certificates of this process: what the agent says about identities, turned into credentials that every
// worker gets.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/model/channel.h"
#include "userspace-proxy/observe/exposition.h"
#include "userspace-proxy/tls/key_ring.h"
#include "userspace-proxy/tls/trust_bundle.h"

namespace weft::worker {

// Where credentials go, and requests for them. Called in the feed's thread.
class IdentityOutlet {
 public:
  virtual ~IdentityOutlet() = default;
  virtual void request_certificate(const model::CertificateRequest& request) = 0;
  virtual void spread(const tls::CredentialPtr& credential) = 0;
  virtual void spread(const tls::TrustBundlePtr& bundle) = 0;
  // No credential for now: whoever waits for one waits in vain.
  virtual void spread_failure(const model::SpiffeId& identity, const std::string& reason) = 0;
  virtual void withdraw(const model::SpiffeId& identity) = 0;
};

// Owned by the Fleet, lives in the feed's thread; metrics() may be called from any. What is broken is refused,
// counted and logged, and the last good one stays.
class Identities {
 public:
  Identities(const base::Clock& clock, IdentityOutlet& outlet) : clock_(clock), outlet_(outlet) {}

  void on_key_wanted(const model::KeyWanted& wanted);
  void on_certificate(const model::CertificateOffer& offer, std::string_view pem);
  void on_certificate_failed(const model::CertificateFailed& failed);
  void on_identity_gone(const model::SpiffeId& identity);
  void on_trust_bundle(uint64_t generation, std::string_view pem);

  // Seconds to expiry and the last error of each identity, the bundle's generation, refusals.
  void metrics(std::vector<observe::ProcessValue>& out) const;

 private:
  struct Status {
    base::WallTime not_after{};  // of the credential in use; the epoch: none yet
    std::string last_error;
    uint64_t certificates = 0, failures = 0;
  };
  void note_error(const model::SpiffeId& identity, const std::string& what);

  const base::Clock& clock_;
  IdentityOutlet& outlet_;
  tls::KeyRing keys_;

  mutable base::Mutex mutex_;
  std::map<model::SpiffeId, Status> status_ GUARDED_BY(mutex_);
  uint64_t bundle_generation_ GUARDED_BY(mutex_) = 0;
  uint64_t refused_ GUARDED_BY(mutex_) = 0;  // certificates and bundles
};

}  // namespace weft::worker
