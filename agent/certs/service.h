#pragma once
// The room's door: identities in, certificates and trust bundle out to the proxies by way of the publisher.
#include <atomic>
#include <memory>
#include <random>
#include <string>

#include "agent/certs/clerks.h"
#include "agent/certs/desk.h"
#include "agent/certs/trust_bundle.h"
#include "agent/publish/publisher.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::certs {

struct ServiceOptions {
  std::string root_file;         // PEM; empty: the CA's answers bring the roots (trust_bundle.h)
  base::Millis look_every{500};  // at the root file: a change is in force after two looks
};

// Identities that need a certificate here: of the enrolled pods of a node, or of the gateway's own pod. One
// that is no SPIFFE id is left out, with a line in the log.
[[nodiscard]] std::set<model::SpiffeId> identities_of(const model::Snapshot& snapshot);

// Brings desk, trust bundle, clerks and publisher together. Owner: a role. Thread: the loop's (the control
// loop), and its clerks. `loop` and `publisher` outlive it; no private key is ever here: what comes from the
// proxies are certificate requests.
class Service final : private publish::CertificateEvents, private DeskDoors {
 public:
  Service(base::Loop& loop, publish::Publisher& publisher, std::unique_ptr<CaClient> client,
          ServiceOptions options);
  ~Service() override;

  // Before the publisher's thread and the loop run.
  void start();
  // After the publisher's thread has ended. Waits for the requests that are under way.
  void stop() { clerks_.stop(); }
  void want(const model::Snapshot& snapshot);

  [[nodiscard]] const Desk& desk() const { return desk_; }
  [[nodiscard]] const TrustBundle& bundle() const { return bundle_; }

 private:
  // From the publisher's thread.
  void on_keyless_proxy(publish::ProxyId proxy) override;
  void on_lost_proxy(publish::ProxyId proxy) override;
  void on_certificate_request(publish::ProxyId proxy, const model::CertificateRequest& request) override;
  void on_identity_needed(publish::ProxyId proxy, const model::SpiffeId& identity) override;

  // From the desk.
  void want_key(publish::ProxyId proxy, const model::KeyWanted& wanted) override;
  void give_certificate(publish::ProxyId proxy, const model::SpiffeId& identity, uint64_t key_id,
                        std::string pem) override;
  void tell_failure(publish::ProxyId proxy, const model::CertificateFailed& failed) override;
  void forget_identity(publish::ProxyId proxy, const model::SpiffeId& identity) override;
  void ask(Ask ask) override { clerks_.ask(std::move(ask)); }

  void take_answer(uint64_t ask, const base::Result<Answer>& answer);
  void look_at_roots();
  void roots_have_changed();
  void turn();

  base::Loop& loop_;
  publish::Publisher& publisher_;
  const std::unique_ptr<CaClient> client_;
  const ServiceOptions options_;
  std::mt19937_64 random_{std::random_device{}()};
  TrustBundle bundle_;
  Desk desk_;
  base::Timer turn_timer_, look_timer_;
  Clerks clerks_;  // dies first: its threads post to the loop
};

}  // namespace weft::certs
