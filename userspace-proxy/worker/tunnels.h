#pragma once
// Where a dial goes: to the stock, or through a tunnel once there is a certificate to show.
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "userspace-proxy/connect/dialer.h"
#include "userspace-proxy/hbone/dialer.h"
#include "userspace-proxy/hbone/headers.h"
#include "userspace-proxy/hbone/tls_securer.h"
#include "userspace-proxy/worker/config.h"

namespace weft::worker {

// Told that a connection waits for a certificate.
class IdentityNeeds {
 public:
  virtual ~IdentityNeeds() = default;
  virtual void on_identity_needed(const model::SpiffeId& identity) = 0;
};

// Whoever waits for a credential of ours, both directions. Thread: the worker's.
class CredentialWaits {
 public:
  static constexpr base::Nanos kPatience = base::Millis(5000);
  static constexpr size_t kMaxWaiting = 4096;

  class Waiter {
   public:
    virtual ~Waiter() = default;
    // `why` is empty when the credential is there. Once, unless leave() came before.
    virtual void on_credential(const std::string& why) = 0;
  };

  CredentialWaits(tls::Contexts& contexts, IdentityNeeds& needs) : contexts_(contexts), needs_(needs) {}

  // Something to prove ourselves with, and roots to judge the peer by.
  [[nodiscard]] bool have(const model::SpiffeId& identity) const;
  // False: too many wait already.
  [[nodiscard]] bool join(const model::SpiffeId& identity, Waiter& waiter);
  void leave(const model::SpiffeId& identity, Waiter& waiter);
  void arrived();  // a credential or a bundle: whoever has all now is told
  void failed(const model::SpiffeId& identity, const std::string& why);

 private:
  void tell(const model::SpiffeId& identity, const std::string& why);

  tls::Contexts& contexts_;
  IdentityNeeds& needs_;
  std::map<model::SpiffeId, std::list<Waiter*>> waiting_;
  size_t count_ = 0;
};

// What the two ends of a tunnel tell each other about themselves; a claim, for telemetry.
[[nodiscard]] std::string baggage_of(const model::Workload& workload);

// The dialer of a worker's connections. A target that names an identity is reached over HBONE or not at all, as long as
// the newest Snapshot says so: two nodes hear at two times that a pod joins or leaves the mesh, and a dial of that
// moment finds nobody at the HBONE port. It asks again until both nodes know, for at most kMoveTime; once the
// newest Snapshot says that one end is not in the mesh any more, it is made as a pod without mesh makes it.
// A connection that was asked for over HBONE and has come plain has a descriptor (Transport::raw_fd); a stream has none.
// Owned by the worker, lives in its thread; outlives every Dial it has given out.
class Tunnels final : public connect::Dialer {
 public:
  static constexpr base::Nanos kMoveTime = base::Millis(2000);

  Tunnels(base::Loop& loop, connect::Dialer& plain, hbone::TunnelDialer& tunnels, CredentialWaits& waits,
          observe::Counters& counters)
      : loop_(loop), plain_(plain), tunnels_(tunnels), waits_(waits), counters_(counters) {}

  [[nodiscard]] std::unique_ptr<connect::Dial> dial(const connect::DialTarget& target,
                                                    connect::DialHandler& handler) override;
  void set_config(ConfigPtr config) { config_ = std::move(config); }

 private:
  class Attempt;
  // By the newest Snapshot.
  enum class Way : uint8_t { kTunnel, kPlain, kNone };
  [[nodiscard]] Way way_of(std::string_view pod, const base::SocketAddress& destination,
                           const model::SpiffeId& accepted) const;
  // Into the Snapshot's workloads; kNone when it does not know the pod.
  [[nodiscard]] uint32_t source_of(std::string_view pod) const;

  base::Loop& loop_;
  connect::Dialer& plain_;
  hbone::TunnelDialer& tunnels_;
  CredentialWaits& waits_;
  observe::Counters& counters_;
  ConfigPtr config_;
  std::mt19937_64 random_{std::random_device{}()};  // ids for logs: nothing is kept safe by them
};

}  // namespace weft::worker
