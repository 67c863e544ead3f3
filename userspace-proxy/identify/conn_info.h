#pragma once
#include <optional>
#include <string>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/listen/kind.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::identify {

// What is known about an accepted connection before its first byte. Made by identify(), owned by the
// connection, never changed afterwards. All indexes are into `snapshot`, which the connection pins;
// model::kNone means unknown.
struct ConnInfo {
  listen::Kind kind = listen::Kind::kOutbound;
  // Key ("ns/name") of the pod whose listener accepted it. Empty on a gateway: its own network is used to
  // dial.
  std::string pod;
  model::SnapshotPtr snapshot;

  base::SocketAddress original;  // where the peer meant to go (getsockname)
  base::SocketAddress peer;      // who connected (getpeername)

  // Who the source has proven to be: outbound the pod itself, attested by the kernel's word, over HBONE by its
  // certificate. Policy goes by this. Nothing: nobody vouches for the source.
  std::optional<model::SpiffeId> proven;
  bool tunnelled = false;  // came in over HBONE

  // The workload that connected. Outbound: the pod itself. Inbound and gateway: whoever has the peer's
  // address, for telemetry only (an address proves nothing), unless it is not who the source has proven to be.
  uint32_t source = model::kNone;
  // The workload that was addressed without a service (pod address), or the pod itself for inbound.
  uint32_t destination = model::kNone;

  uint32_t service = model::kNone;      // addressed service
  uint32_t port = model::kNone;         // into service.ports
  uint32_t cluster = model::kNone;      // the port's subset-less cluster
  uint32_t route_table = model::kNone;  // kNone: carry at layer 4
  uint16_t service_port = 0;  // outbound: port of the service; gateway: what the Gateway object says
  model::Protocol protocol = model::Protocol::kTcp;

  base::Instant started;
  base::WallTime started_wall;

  // It has arrived at the pod, as opposed to being made by it.
  [[nodiscard]] bool inbound() const {
    return kind == listen::Kind::kInbound || kind == listen::Kind::kAttested || kind == listen::Kind::kRefuse;
  }
  // HTTP is read on this connection.
  [[nodiscard]] bool layer7() const { return route_table != model::kNone && model::is_http(protocol); }
};

}  // namespace weft::identify
