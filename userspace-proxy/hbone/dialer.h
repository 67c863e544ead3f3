#pragma once
// The source's end: connections through pooled tunnels.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/connect/dialer.h"
#include "userspace-proxy/hbone/securer.h"
#include "userspace-proxy/hbone/session.h"
#include "userspace-proxy/observe/flag.h"

namespace weft::hbone {

inline constexpr uint16_t kPort = 15008;

// Nothing in here is kept beyond the call of dial().
struct TunnelTarget {
  std::string_view pod;             // "ns/name" of the source, as connect::DialTarget::pod
  const model::SpiffeId& source;    // whose certificate we show
  base::SocketAddress destination;  // the destination pod's (or waypoint's) address and kPort
  std::span<const model::SpiffeId> accepted;  // the destination must prove one of them
  std::string_view authority;       // of the CONNECT: "podIP:port", "VIP:port", "name:port"
  std::string_view baggage, forwarded, traceparent;  // left out when empty
};

// What to write into the record of a connection whose tunnel dial failed:
//   kIdentityError    kUntrusted: the destination proved none of the accepted identities, or we have none to show
//   kTlsFailure       TLS broke
//   kHandshakeFailure HTTP/2 did not begin within TLS
//   kNetworkPolicy    port 15008 did not answer the SYN in time: most likely a NetworkPolicy blocks it
//   kDeny             the destination's policy said no (401)
//   kOverflow         a bound of ours
//   kConnect          everything else
[[nodiscard]] observe::Flag flag_of(const base::Error& error);

// Opens HBONE streams. Tunnels are shared by dials with equal pod, source identity, accepted identities and
// destination; a busy one gets company, up to Limits::tunnels_per_key; one handshake at a time and key, others wait
// for it. One per worker, in its thread; outlives every Dial it has given out, not the transports.
class TunnelDialer final {
 public:
  TunnelDialer(Engine& engine, connect::Dialer& tcp, Securer& securer);
  ~TunnelDialer();

  // As connect::Dialer::dial(): the handler is told once, never from inside dial(); destroying the Dial cancels.
  // The outcome is a Transport whose other end has answered 200. Errors have side kDestination unless we are to
  // blame; flag_of() labels them.
  [[nodiscard]] std::unique_ptr<connect::Dial> dial(const TunnelTarget& target, connect::DialHandler& handler);

  // A new trust bundle is in force: tunnels whose peer does not hold by it are cut, handshakes begin anew.
  using StillTrusted = std::function<bool(const tls::PeerProof&)>;
  void on_bundle(const StillTrusted& still_trusted);
  // No pod here has that identity any more, or that pod is gone or left the mesh: its dials fail, its tunnels take no
  // stream any more. Those they carry live on: a pod that is un-enrolled keeps its connections (enrolment.md 6, row 8).
  void forget_identity(const model::SpiffeId& identity);
  void forget_pod(std::string_view pod);
  // No tunnel of it takes new streams; they end when their streams have. For a certificate that must not be shown
  // any more.
  void renew(const model::SpiffeId& identity);
  // The process ends: GOAWAY everywhere, streams may finish.
  void drain();

  [[nodiscard]] size_t tunnels() const { return tunnels_; }
  [[nodiscard]] size_t streams() const;

 private:
  class Pending;  // one dial
  class Opening;  // one handshake
  class Entry;    // all of one key
  [[nodiscard]] Entry& entry_of(const TunnelTarget& target);
  [[nodiscard]] std::vector<Entry*> entries() const;
  void forget(Entry& entry);

  Engine& engine_;
  connect::Dialer& tcp_;
  Securer& securer_;
  std::unordered_map<std::string, std::unique_ptr<Entry>> entries_;
  size_t tunnels_ = 0;  // established or being opened
};

}  // namespace weft::hbone
