#pragma once
// The destination's end of HBONE: an arrival on port 15008 becomes a proven peer and its CONNECT requests.
#include <list>
#include <memory>
#include <string>

#include "userspace-proxy/hbone/inbound.h"
#include "userspace-proxy/observe/flag.h"
#include "userspace-proxy/tls/handshake.h"
#include "userspace-proxy/tls/handshake_limits.h"
#include "userspace-proxy/worker/tunnels.h"

namespace weft::worker {

// An accepted socket whose peer wants to speak mTLS.
struct TunnelArrival {
  std::string pod;           // "ns/name" that was called
  model::SpiffeId identity;  // the pod's, whose certificate is shown
  base::SocketAddress original, peer;
};

class TunnelServerOwner {
 public:
  virtual ~TunnelServerOwner() = default;
  virtual void on_tunnel_request(const TunnelArrival& arrival, const model::SpiffeId& peer,
                                 std::unique_ptr<hbone::InboundRequest> request) = 0;
  // Nothing will be carried: for the record. `peer` is null when it has proven nothing.
  virtual void on_tunnel_refused(const TunnelArrival& arrival, const model::SpiffeId* peer, observe::Flag flag,
                                 std::string_view why) = 0;
  virtual void on_tunnel_closed() = 0;
};

// Owned by the worker, lives in its thread. Handshakes are bounded: in number, per source, in time. What comes beyond
// the bounds waits for its turn, for at most kTurnPatience; what may not even wait is closed and counted.
class TunnelServer {
 public:
  struct Tools {
    base::Loop& loop;
    tls::Contexts& contexts;
    hbone::Engine& engine;
    CredentialWaits& waits;
    observe::Counters& counters;
  };
  TunnelServer(const Tools& tools, TunnelServerOwner& owner, uint64_t seed);
  ~TunnelServer();

  void serve(TunnelArrival arrival, std::unique_ptr<base::Transport> transport);
  // Tunnels whose peer does not hold by the new roots are cut.
  void on_bundle(const tls::TrustBundle& bundle);
  // The pod, or the last pod with that identity, is gone: GOAWAY, streams may finish.
  void drain_pod(std::string_view pod);
  void drain_identity(const model::SpiffeId& identity);
  void drain_all();
  void abort_all();

  [[nodiscard]] size_t size() const { return guests_.size(); }

 private:
  static constexpr size_t kMostQueued = 1024;
  static constexpr base::Nanos kTurnEvery = base::Millis(10), kTurnPatience = base::Millis(5000);

  class Guest;
  friend class Guest;
  void give_turns();
  void forget(Guest& guest);
  template <typename Chosen>
  void drain_if(Chosen&& chosen);

  Tools tools_;
  TunnelServerOwner& owner_;
  tls::HandshakeLimits limits_;
  std::list<Guest*> queue_;  // for a handshake, first come first; guests leave it when they die
  std::list<std::unique_ptr<Guest>> guests_;
  base::Timer turns_;
};

}  // namespace weft::worker
