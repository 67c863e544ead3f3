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
  X(policy_dry_run_denials, "connections let in that a rule on a dry run would have refused") \
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
  X(tls_handshakes_full, "TLS handshakes finished with certificates, both roles") \
  X(tls_handshakes_resumed, "TLS handshakes resumed from a ticket, both roles") \
  X(tls_failed_untrusted, "TLS handshakes ended because a certificate did not hold") \
  X(tls_failed_protocol, "TLS handshakes ended because the peer breaks the protocol or offers nothing we accept") \
  X(tls_failed_closed, "TLS handshakes that the peer broke off") \
  X(tls_failed_timeout, "TLS handshakes that took longer than 10 s") \
  X(tls_queued, "arrivals for mTLS that waited because too many handshakes were under way or their source came too often") \
  X(tls_shed, "arrivals for mTLS reset because too many handshakes were under way or their source came too often") \
  X(tls_no_identity, "connections reset because there is no certificate of ours for the pod") \
  X(hbone_tunnels_opened, "HBONE connections opened toward a destination") \
  X(hbone_tunnels_accepted, "HBONE connections taken from a source") \
  X(hbone_tunnels_lost, "HBONE connections that broke while streams were open") \
  X(hbone_tunnels_expired, "HBONE connections ended gracefully because of their age") \
  X(hbone_ping_timeouts, "HBONE connections cut because the peer answered no PING in 20 s") \
  X(hbone_floods, "HBONE connections cut because of too many frames that carry nothing") \
  X(hbone_bundle_cut, "HBONE connections cut because a new trust bundle does not hold the peer's certificate") \
  X(hbone_streams_opened, "HBONE streams opened toward a destination") \
  X(hbone_streams_accepted, "HBONE streams taken from a source") \
  X(hbone_refused_bad_request, "HBONE requests answered with 400") \
  X(hbone_refused_denied, "HBONE requests answered with 401: policy") \
  X(hbone_refused_unavailable, "HBONE requests answered with 503") \
  X(hbone_refused_by_peer, "HBONE requests of ours that the destination's proxy did not answer with 200") \
  X(hbone_streams_reset, "HBONE streams that the peer reset") \
  X(hbone_streams_shed, "HBONE streams reset because too many bytes waited for slow readers") \
  X(tunnel_waits, "connections whose tunnel was refused or broke as it was opened, and that asked again") \
  X(tunnels_left, "connections meant for HBONE and made without it: one end had left the mesh meanwhile") \
  X(identity_waits, "connections that had to wait for a certificate of ours") \
  X(certificates_refused, "certificates and trust bundles refused as broken") \
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
