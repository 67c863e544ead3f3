#pragma once
// The outcome of one connection or one request: everything that its access-log line and its metrics need.
// A record lives for one call of Recorder; its views point into the connection or request that ends.
#include <cstdint>
#include <string_view>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/observe/flag.h"

namespace weft::observe {

// A series set resolved once per connection or route by Metrics::flow().
using FlowId = uint32_t;

// Fields that a request and a layer-4 connection share. An empty view or a port of 0 is written as "-".
struct RecordBase {
  FlowId flow = 0;
  base::WallTime start;
  base::Nanos duration{};
  Flag flag = Flag::kNone;
  std::string_view
      termination_details;  // connection termination, e.g. "policy rule 17: AuthorizationPolicy ..."
  std::string_view transport_failure;     // why the destination could not be reached
  uint64_t bytes_received = 0;            // from the source
  uint64_t bytes_sent = 0;                // to the source
  std::string_view cluster;               // "outbound|80||httpbin.default.svc.cluster.local"
  base::SocketAddress destination;        // the endpoint dialled
  base::SocketAddress destination_local;  // our own address on that leg
  base::SocketAddress local;              // the address that the source connected to
  base::SocketAddress peer;               // the source
  std::string_view server_name;           // TLS SNI
  std::string_view source_identity;       // SPIFFE id, where it is proven
  std::string_view destination_identity;  // the same, over mTLS only
  std::string_view route;
};

struct ConnRecord : RecordBase {};

struct RequestRecord : RecordBase {
  std::string_view method, path, protocol;  // "GET", "/x?y", "HTTP/1.1"
  std::string_view original_path;           // x-envoy-original-path; replaces `path` in the log when set
  uint16_t code = 0;                        // 0: no response was sent
  std::string_view details;                 // "via_upstream", "route_not_found", ...
  int64_t service_time_ms = -1;             // x-envoy-upstream-service-time; -1: none
  std::string_view forwarded_for, user_agent, request_id, authority;
  int grpc_status = -1;  // -1: not a gRPC request or no status
};

}  // namespace weft::observe
