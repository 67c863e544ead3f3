#pragma once
#include <cstdint>
#include <string_view>

namespace weft::observe {

// Response flags: Envoy's codes for requests, ztunnel's words for layer 4 (telemetry.md 4 and 8).
enum class Flag : uint8_t {
  kNone,
  kNoHealthyEndpoint,         // UH
  kConnectFailure,            // UF
  kOverflow,                  // UO
  kNoRoute,                   // NR
  kNoCluster,                 // NC
  kSourceClosed,              // DC
  kSourceProtocolError,       // DPE
  kSourceReset,               // DR
  kDestinationTimeout,        // UT
  kDestinationReset,          // UR
  kDestinationClosed,         // UC
  kDestinationProtocolError,  // UPE
  kLocalReset,                // LR
  kIdleTimeout,               // SI
  kDurationTimeout,           // DT
  kOverload,                  // OM
  kDeny,                      // DENY: layer-4 policy
  kConnect,                   // CONNECT: layer 4 could not reach the next hop
  kTlsFailure,                // TLS_FAILURE: the TLS handshake broke
  kIdentityError,             // IDENTITY_ERROR: the peer's identity was not proven, or there is no certificate of ours
  kHandshakeFailure,          // H2_HANDSHAKE_FAILURE: HTTP/2 did not begin inside TLS
  kNetworkPolicy,             // NETWORK_POLICY: no answer from port 15008 in time
  kCount,
};

// "-" for kNone.
[[nodiscard]] std::string_view name_of(Flag flag);

}  // namespace weft::observe
