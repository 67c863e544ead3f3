#pragma once
#include "userspace-proxy/identify/conn_info.h"
#include "userspace-proxy/identify/index.h"

namespace weft::identify {

// An accepted socket, before anything is known about it.
struct Arrival {
  listen::Kind kind = listen::Kind::kOutbound;
  std::string_view pod;  // of the listener; empty on a gateway
  base::SocketAddress original;
  base::SocketAddress peer;
  const model::SpiffeId* proven = nullptr;  // by the certificate of the HBONE tunnel it came in by
  std::string_view claimed_service = {};    // host name the peer says it addressed; believed of the pod's own services
};

// Names an arrival: source, service, protocol. Pure but for the clock stamps, which the caller sets.
[[nodiscard]] ConnInfo identify(const Index& index, const Arrival& arrival);

// The address of the capture self-test: 192.0.2.1:15021 or [2001:db8::1]:15021. Such a connection is answered
// with kSelfTestAnswer and closed: it proves that hooks, rule, route, listener and proxy are all in place.
[[nodiscard]] bool is_self_test(const base::SocketAddress& destination);
inline constexpr std::string_view kSelfTestAnswer = "weft\n";

// Dialling where this outbound connection meant to go would come straight back to our own listener: someone
// connected to the listener itself.
[[nodiscard]] bool would_loop(const ConnInfo& info);

// The endpoint of a layer-4 relay. `random` decides between equals; a service with ClientIP affinity ignores
// it and hashes the source pod and the service onto the endpoints (rendezvous hashing): every worker and
// every proxy run comes to the same endpoint without a shared table, and a change of endpoints moves only the
// flows it has to. Null: the service has no endpoint.
[[nodiscard]] const model::Endpoint* choose_endpoint(const Index& index, const ConnInfo& info,
                                                     uint64_t random);

}  // namespace weft::identify
