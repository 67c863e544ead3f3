#pragma once
// Configurations of an Envoy that ends or begins CONNECT over mutual TLS, and of its identity checks.
#include <fmt/format.h>

#include <string>

namespace weft::test {

struct EnvoyConfig {
  std::string dir;          // of cert.pem, key.pem, root.pem
  std::string peer;         // the URI SAN that the other side must show
  uint16_t admin, listen;   // ports of Envoy
  uint16_t next;            // where it goes on to: the application, or weft's HBONE port
  std::string authority;    // of its CONNECT, when it begins tunnels
};

inline std::string envoy_tls(const EnvoyConfig& c) {
  return fmt::format(
      "common_tls_context: {{alpn_protocols: [h2], "
      "tls_params: {{tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}}, "
      "tls_certificates: [{{certificate_chain: {{filename: {0}/cert.pem}}, private_key: {{filename: {0}/key.pem}}}}], "
      "validation_context: {{trusted_ca: {{filename: {0}/root.pem}}, "
      "match_typed_subject_alt_names: [{{san_type: URI, matcher: {{exact: \"{1}\"}}}}]}}}}",
      c.dir, c.peer);
}

inline std::string envoy_admin(const EnvoyConfig& c) {
  return fmt::format("admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}\n", c.admin);
}

// weft -> HTTP/2 CONNECT over mTLS -> Envoy -> TCP. A hundred streams a connection, as a waypoint has.
inline std::string envoy_terminator(const EnvoyConfig& c) {
  return envoy_admin(c) + fmt::format(R"(static_resources:
  listeners:
  - name: tunnels
    address: {{socket_address: {{address: 127.0.0.1, port_value: {listen}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: tunnels
          codec_type: HTTP2
          drain_timeout: 0.2s
          http2_protocol_options: {{allow_connect: true, max_concurrent_streams: 100}}
          upgrade_configs: [{{upgrade_type: CONNECT}}]
          route_config:
            virtual_hosts:
            - name: application
              domains: ["*"]
              routes:
              - match: {{connect_matcher: {{}}}}
                route: {{cluster: application, timeout: 0s, upgrade_configs: [{{upgrade_type: CONNECT, connect_config: {{}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          {tls}
  clusters:
  - name: application
    type: STATIC
    load_assignment:
      cluster_name: application
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {next}}}}}}}}}]}}]
)",
                                       fmt::arg("listen", c.listen), fmt::arg("tls", envoy_tls(c)),
                                       fmt::arg("next", c.next));
}

// TCP -> Envoy -> HTTP/2 CONNECT over mTLS -> weft.
inline std::string envoy_originator(const EnvoyConfig& c) {
  return envoy_admin(c) + fmt::format(R"(static_resources:
  listeners:
  - name: application
    address: {{socket_address: {{address: 127.0.0.1, port_value: {listen}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: application
          cluster: tunnels
          max_connect_attempts: 1
          tunneling_config: {{hostname: "{authority}"}}
  clusters:
  - name: tunnels
    type: STATIC
    load_assignment:
      cluster_name: tunnels
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {next}}}}}}}}}]}}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        {tls}
)",
                                       fmt::arg("listen", c.listen), fmt::arg("authority", c.authority),
                                       fmt::arg("tls", envoy_tls(c)), fmt::arg("next", c.next));
}

}  // namespace weft::test
