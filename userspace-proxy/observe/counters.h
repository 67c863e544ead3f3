#pragma once
#include <cstdint>

// Every failure and every notable event of the proxy, one plain field each, per worker: X(field, help).
// Exposed as weft_proxy_<field>_total. A room that needs another one adds a line here and nothing else.
// clang-format off
#define WEFT_PROXY_COUNTERS(X) \
  X(connections_accepted, "connections taken from a listener") \
  X(accept_shed, "connections closed at once because descriptors ran out") \
  X(accept_failed, "accept calls that failed otherwise") \
  X(connections_shed, "connections closed at once because the worker is full") \
  X(policy_refused, "arrivals reset because the kernel half or the proxy refused them") \
  X(policy_cut, "live connections reset because a new policy refuses them") \
  X(identify_failed, "connections reset because their addresses could not be read") \
  X(loops_refused, "connections to the proxy's own listener, reset because dialling them would come back") \
  X(self_test_answered, "capture self-test connections answered") \
  X(dials, "connections opened toward a destination") \
  X(dial_refused, "dials answered by a reset") \
  X(dial_timeout, "dials without an answer in time") \
  X(dial_failed, "dials that failed otherwise") \
  X(stock_waits, "dials that had to wait because no socket was in stock") \
  X(stock_exhausted, "dials given up because no socket came into stock") \
  X(relay_no_endpoint, "relayed connections reset because the service has no endpoint") \
  X(relay_source_reset, "relayed connections that the source reset") \
  X(relay_destination_reset, "relayed connections that the destination reset") \
  X(http_bad_requests, "HTTP requests refused because they break the protocol") \
  X(http_destination_protocol_errors, "answers of destinations that break the protocol") \
  X(http_local_replies, "HTTP requests that the proxy answered itself") \
  X(http_retries, "HTTP requests sent again because nobody had seen them") \
  X(http_pool_overflow, "HTTP requests refused because a destination had too many connections") \
  X(http2_floods, "HTTP/2 connections cut because of too many frames that carry nothing") \
  X(http2_protocol_errors, "HTTP/2 connections cut because they break the protocol") \
  X(drain_cut, "connections cut because the drain time was over") \
  X(series_overflow, "metric updates that went to the overflow series because the bound was reached") \
  X(access_log_dropped, "access-log lines dropped because the writer could not keep up")
// clang-format on

namespace weft::observe {

struct Counters {
#define WEFT_FIELD(field, help) uint64_t field = 0;
  WEFT_PROXY_COUNTERS(WEFT_FIELD)
#undef WEFT_FIELD
};

}  // namespace weft::observe
