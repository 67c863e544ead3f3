#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::connect {

inline constexpr base::Nanos kConnectTimeout = base::Millis(10'000);

// Who the far end has to prove to be; the strings are the caller's.
struct PeerIdentity {
  std::string_view ns, service_account;
  bool operator==(const PeerIdentity&) const = default;
};

// Of the endpoint `destination` for a call of `source` (into the Snapshot's workloads, from which the text is borrowed) to
// its `port`; nothing where the call stays plain.
[[nodiscard]] inline std::optional<PeerIdentity> identity_wanted(const model::Snapshot& snapshot, uint32_t source,
                                                                 uint32_t destination, uint16_t port) {
  if (!model::needs_tunnel(snapshot, source, destination, port)) return std::nullopt;
  const auto& peer = snapshot.workloads[destination];
  return PeerIdentity{peer.ns, peer.service_account};
}

// The connection a dial is made for, as the far end of a tunnel is told: a claim, for its telemetry.
struct Origin {
  base::SocketAddress client;
  std::string_view service;  // host name of the service that was addressed; empty: an address was
};

struct DialTarget {
  // Key ("ns/name") of the pod from whose network the connection leaves; empty: this process's own network.
  std::string_view pod;
  base::SocketAddress destination;
  // Delivering to the pod itself with the client's own address as the source (inbound).
  std::optional<base::SocketAddress> client;
  // Set: over HBONE or not at all, in the name of `pod`'s own identity.
  std::optional<PeerIdentity> identity;
  // Not set where a connection serves requests of many clients in turn.
  std::optional<Origin> origin;
};

// Told how a dial ended: once, and never from inside dial(). The Dial may be destroyed in here.
// Errors: side kDestination with sys_errno (ECONNREFUSED, EHOSTUNREACH, ECONNRESET ...), or kTimeout after
// kConnectTimeout, when the far end is to blame; kLimit and side kSelf when no socket was in stock.
class DialHandler {
 public:
  virtual ~DialHandler() = default;
  virtual void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) = 0;
};

// A dial under way. Destroying it cancels: the handler is not called any more.
class Dial {
 public:
  virtual ~Dial() = default;
};

// Opens connections without a privilege and without asking the agent (stocked sockets). One per worker.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // Nothing in `target` is kept beyond the call. `handler` must outlive the Dial.
  [[nodiscard]] virtual std::unique_ptr<Dial> dial(const DialTarget& target, DialHandler& handler) = 0;
};

}  // namespace weft::connect
