#pragma once
// What agent and proxy tell each other, as plain values; channel.proto is its wire form. Both ends treat what
// they read as hostile: unknown kinds, oversized names and stray descriptors close the channel.
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/identity.h"

namespace weft::model {

inline constexpr uint32_t kChannelProtocol = 2;
inline constexpr size_t kMaxPacketBytes = 4096;
inline constexpr size_t kMaxPacketFds = 64;
inline constexpr size_t kMaxPodName = 320;  // "ns/name", both DNS names
inline constexpr size_t kMaxRefusal = 2048;
inline constexpr size_t kMaxRequestBytes = 2048;        // a certificate request, DER
inline constexpr size_t kMaxChainBytes = 256u << 10;    // a certificate chain or a trust bundle, PEM

enum class Family : uint8_t { kV4 = 4, kV6 = 6 };

// An enrolled pod as it lives now: a pod that comes back under its old name has another cookie.
// A gateway's own sockets carry its own name and the cookie of its own netns.
struct PodKey {
  std::string name;           // "ns/name", key_of(workload)
  uint64_t netns_cookie = 0;  // SO_NETNS_COOKIE
  auto operator<=>(const PodKey&) const = default;
};

enum class ListenerKind : uint8_t {
  kOutbound = 1,  // looped connections of the pod: getsockname is the original destination
  kInbound = 2,   // arrivals for the pod: getsockname is the pod's address
  kRefuse = 3,    // arrivals to reset at once
  kGateway = 4,   // a port of a gateway
  kAttested = 5,  // as kInbound, and the kernel vouches for the pod of this node that has the peer's address
};

struct ListenerKey {
  PodKey pod;
  ListenerKind kind = ListenerKind::kOutbound;
  Family family = Family::kV4;
  uint16_t gateway_port = 0;  // kGateway: Snapshot::gateway_listeners[].bind_port, else 0
  auto operator<=>(const ListenerKey&) const = default;
};

enum class StockKind : uint8_t {
  kOutbound = 1,  // connect() it: the destination sees the pod's address
  kInbound = 2,   // IP_TRANSPARENT and marked: bind() it to the client's address, connect() to the pod's own
};

struct StockKey {
  PodKey pod;
  StockKind kind = StockKind::kOutbound;
  Family family = Family::kV4;
  auto operator<=>(const StockKey&) const = default;
};

// Switches that work at once, outside the order of Snapshots.
struct LiveSettings {
  bool access_log = false;
  auto operator<=>(const LiveSettings&) const = default;
};

// Proxy -> agent.
struct Hello {
  uint32_t protocol = kChannelProtocol;
  std::string version;
  uint32_t workers = 0;
};
struct Verdict {
  uint64_t version = 0;
  std::string refusal;
};  // empty refusal: the Snapshot was taken
struct StockLevel {
  StockKey key;
  uint32_t level = 0;     // unconnected sockets in the proxy's pools now
  uint32_t received = 0;  // sockets of this key that came over this channel since it was opened
  uint64_t taken = 0;     // sockets used since the last report
};
// A fresh key's certificate request, in answer to KeyWanted. The key itself never leaves the proxy.
struct CertificateRequest {
  SpiffeId identity;
  uint64_t key_id = 0;      // of the KeyWanted
  std::string request;      // PKCS#10, DER
};
// A connection waits for this identity's certificate: whoever fetches it should hurry.
struct IdentityNeeded {
  SpiffeId identity;
};
using ToAgent = std::variant<Hello, Verdict, StockLevel, CertificateRequest, IdentityNeeded>;

// Agent -> proxy. Descriptors travel beside: one with SnapshotOffer, ListenerOffer, CertificateOffer and
// TrustBundleOffer (sealed memory, PEM), 1..64 with StockOffer.
struct SnapshotOffer {
  uint64_t version = 0;
  uint64_t bytes = 0;
};
struct ListenerOffer {
  ListenerKey key;
};
struct ListenerGone {
  ListenerKey key;
};
struct PodGone {
  PodKey pod;
};
struct StockOffer {
  StockKey key;
};
struct StockTarget {
  StockKey key;
  uint32_t keep = 0;
};
// Make a key for this identity and ask for its certificate. A newer key id replaces a request under way; the
// certificate in force stays until the new one has come.
struct KeyWanted {
  SpiffeId identity;
  uint64_t key_id = 0;  // grows
};
// The chain for the key of that number: leaf first, then intermediates, never a root.
struct CertificateOffer {
  SpiffeId identity;
  uint64_t key_id = 0;
  uint64_t bytes = 0;
};
// No certificate could be had; the one in force, if there is one, stays in use until it expires.
struct CertificateFailed {
  SpiffeId identity;
  std::string reason;  // at most kMaxRefusal
};
// No pod of this node has it any more: forget key and certificate, close its tunnels.
struct IdentityGone {
  SpiffeId identity;
};
// The roots to believe from now on.
struct TrustBundleOffer {
  uint64_t generation = 0;  // grows with every change
  uint64_t bytes = 0;
};
struct Synced {};
using ToProxy = std::variant<SnapshotOffer, ListenerOffer, ListenerGone, PodGone, StockOffer, StockTarget,
                             LiveSettings, Synced, KeyWanted, CertificateOffer, CertificateFailed, IdentityGone,
                             TrustBundleOffer>;

[[nodiscard]] std::string encode(const ToAgent& message);
[[nodiscard]] std::string encode(const ToProxy& message);
// `fds` is how many descriptors came with the packet: a message with a wrong number of them is invalid.
[[nodiscard]] base::Result<ToAgent> decode_to_agent(std::string_view packet, size_t fds);
[[nodiscard]] base::Result<ToProxy> decode_to_proxy(std::string_view packet, size_t fds);

}  // namespace weft::model
