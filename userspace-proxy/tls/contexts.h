#pragma once
// Everything a worker needs to begin TLS: one server and one client SSL_CTX per identity (dependencies.md 5.1).
#include <array>
#include <map>
#include <memory>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/observe/counters.h"
#include "userspace-proxy/tls/credential.h"
#include "userspace-proxy/tls/library.h"
#include "userspace-proxy/tls/trust_bundle.h"

namespace weft::tls {

class Blocks;
class Context;
class KnownPeers;
class Lingerers;
struct TicketSecret;

// What the ticket keys of all workers of a process are derived from, so that a ticket of one worker holds at the
// others. Made once per process, lives in memory only.
struct TicketSecret {
  std::array<unsigned char, 32> bytes{};
  [[nodiscard]] static base::Result<TicketSecret> random();
};

// One per worker, in its own OSSL_LIB_CTX: nothing is shared with other workers but keys and certificates.
// TLS 1.3 only, AES-GCM suites, ALPN h2, no SNI, mutual authentication, no early data (hbone.md 3). Tickets go to
// weft peers only and are bound to the own leaf and to the generation of the trust bundle.
// Must outlive every Handshake, TlsTransport and PeerProof made with it. Thread: the worker's.
class Contexts {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<Contexts>> create(const base::Clock& clock,
                                                                      observe::Counters& counters,
                                                                      const TicketSecret& secret);
  ~Contexts();
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;

  // New handshakes of that identity use it; those under way and live connections keep theirs.
  base::Status set(CredentialPtr credential);
  void forget(const model::SpiffeId& identity);
  // New handshakes, and those under way that have not verified yet, believe these roots and no other.
  base::Status set_bundle(TrustBundlePtr bundle);

  // Null when there is none.
  [[nodiscard]] CredentialPtr credential(const model::SpiffeId& identity) const;
  [[nodiscard]] const TrustBundlePtr& bundle() const { return bundle_; }

  // For the classes of this room.
  [[nodiscard]] Context* find(const model::SpiffeId& identity);
  [[nodiscard]] const base::Clock& clock() const { return clock_; }
  [[nodiscard]] observe::Counters& counters() { return counters_; }
  [[nodiscard]] const Library& library() const { return library_; }
  [[nodiscard]] KnownPeers& known_peers() { return *known_; }
  [[nodiscard]] Blocks& blocks() { return *blocks_; }
  [[nodiscard]] Lingerers& lingerers() { return *lingerers_; }

 private:
  Contexts(const base::Clock& clock, observe::Counters& counters, const TicketSecret& secret, Library library);

  const base::Clock& clock_;
  observe::Counters& counters_;
  TicketSecret secret_;
  Library library_;
  TrustBundlePtr bundle_;
  Owned<X509_STORE> store_;  // of bundle_, decoded in our library context
  uint64_t next_epoch_ = 1;  // tells a Context from its successor of the same identity
  std::unique_ptr<KnownPeers> known_;
  std::unique_ptr<Blocks> blocks_;
  std::unique_ptr<Lingerers> lingerers_;
  std::map<model::SpiffeId, std::unique_ptr<Context>> contexts_;
};

}  // namespace weft::tls
