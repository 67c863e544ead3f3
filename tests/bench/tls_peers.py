"""The proxies that weft is measured against between two nodes: one in the client's pod, one in the server's, mutual TLS 1.3
with P-256 certificates between them. Both ends of a pair run on the same CPU with one worker each, as weft's do.
"""
import pathlib
import shutil

from harness import run

HTTP, TRAFFIC = 8080, 7100  # ports of the applications in the server's pod

NGINX_SOURCE = """
  server {{ listen {client}:{plain}; proxy_pass {server}:{tls};
    proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_name server.bench; proxy_ssl_server_name on;
    proxy_ssl_certificate {dir}/client.pem; proxy_ssl_certificate_key {dir}/client.key;
    proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/ca.pem; }}"""
NGINX_DESTINATION = """
  server {{ listen {server}:{tls} ssl backlog=4096; proxy_pass {server}:{app};
    ssl_protocols TLSv1.3; ssl_session_cache shared:bench:10m;
    ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
    ssl_verify_client on; ssl_client_certificate {dir}/ca.pem; }}"""
NGINX = """
load_module {module};
worker_processes 1; daemon off; pid {dir}/nginx-{side}.pid; error_log {dir}/nginx-{side}.log crit; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
stream {{ proxy_buffer_size 64k; {servers} }}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
"""
HAPROXY_SOURCE = """
listen {name}
  bind {client}:{plain}
  server next {server}:{tls} ssl crt {dir}/client.both ca-file {dir}/ca.pem verify required verifyhost server.bench sni str(server.bench) ssl-min-ver TLSv1.3 {client_more}
"""
HAPROXY_DESTINATION = """
listen {name}
  bind {server}:{tls} ssl crt {dir}/server.both ca-file {dir}/ca.pem verify required ssl-min-ver TLSv1.3 curves X25519:P-256 {server_more}
  server application {server}:{app}
"""
# Ends each connection once its handshake is over.
HAPROXY_HANDSHAKES = """
frontend handshakes
  bind {server}:{tls} ssl crt {dir}/server.both ca-file {dir}/ca.pem verify required ssl-min-ver TLSv1.3 curves X25519:P-256 no-tls-tickets
  tcp-request session reject
"""
TLS_ENVOY = (
    "common_tls_context: {{alpn_protocols: [h2], tls_params: {{tls_minimum_protocol_version: TLSv1_3, "
    "tls_maximum_protocol_version: TLSv1_3}}, tls_certificates: [{{certificate_chain: {{filename: {dir}/{role}.pem}}, "
    "private_key: {{filename: {dir}/{role}.key}}}}], validation_context: {{trusted_ca: {{filename: {dir}/ca.pem}}}}}}")
ENVOY_SOURCE_LISTENER = """
  - name: in-{plain}
    address: {{socket_address: {{address: {client}, port_value: {plain}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: in
          cluster: tunnel
          tunneling_config: {{hostname: "{server}:{app}"}}"""
ENVOY_SOURCE = """
static_resources:
  listeners:{listeners}
  clusters:
  - name: tunnel
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]}}
    load_assignment:
      cluster_name: tunnel
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {server}, port_value: {tls}}}}}}}}}]}}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: server.bench
        {tls_context}
"""
ENVOY_DESTINATION = """
static_resources:
  listeners:
  - name: tunnels
    address: {{socket_address: {{address: {server}, port_value: {tls}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: tunnels
          codec_type: HTTP2
          http2_protocol_options: {{allow_connect: true}}
          upgrade_configs: [{{upgrade_type: CONNECT}}]
          route_config:
            virtual_hosts:{hosts}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          {tls_context}
  clusters:{clusters}
"""
ENVOY_HOST = """
            - name: app-{app}
              domains: ["{server}:{app}"]
              routes: [{{match: {{connect_matcher: {{}}}}, route: {{cluster: app-{app}, timeout: 0s, upgrade_configs: [{{upgrade_type: CONNECT, connect_config: {{}}}}]}}}}]"""
ENVOY_CLUSTER = """
  - name: app-{app}
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]}}
    load_assignment:
      cluster_name: app-{app}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {server}, port_value: {app}}}}}}}}}]}}]"""


def make_certificates(folder):
    """ca.pem and, for client and server, NAME.pem, NAME.key and both in NAME.both; all P-256, signed by the root."""
    def openssl(*words):
        run("openssl", *words, cwd=folder)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=bench root")
    for name, usage in (("client", "clientAuth"), ("server", "serverAuth")):
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}.bench,URI:spiffe://bench/ns/bench/sa/{name}\n"
                                            f"extendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n")
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}.bench")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        both = (folder / f"{name}.pem").read_text() + (folder / f"{name}.key").read_text()
        (folder / f"{name}.both").write_text(both)


class Pair:
    """A running pair: where the client goes for HTTP and for the bench's own traffic, and who is charged."""

    def __init__(self, name, base, processes):
        self.name, self.ports, self.processes = name, {HTTP: base + 1, TRAFFIC: base + 2}, processes

    def pids(self):
        return [[p.pid] for p in self.processes]


class Peers:
    def __init__(self, client, server, folder, cpu):
        self.client, self.server, self.folder, self.cpu = client, server, folder, cpu

    def fill(self, text, base=0, app=0, **more):
        offset = {HTTP: 1, TRAFFIC: 2, 0: 0}[app]
        return text.format(client=self.client.ip, server=self.server.ip, dir=self.folder, app=app, plain=base + offset,
                           tls=base + 10 + offset, **more)

    def each_port(self, text, base, **more):
        return "".join(self.fill(text, base, app, name=f"to-{app}-{base}", **more) for app in (HTTP, TRAFFIC))

    def start(self, side, name, *words):
        pod = self.client if side == "source" else self.server
        return pod.start(*words, cpu=self.cpu, as_application=False, log=self.folder / f"{name}-{side}.out")

    def nginx(self, base=21000):
        module = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        processes = []
        for side, servers in (("source", NGINX_SOURCE), ("destination", NGINX_DESTINATION)):
            path = self.folder / f"nginx-{side}.conf"
            path.write_text(self.fill(NGINX, module=module, side=side, servers=self.each_port(servers, base)))
            processes.append(self.start(side, "nginx", "nginx", "-c", path))
        return Pair("nginx", base, processes)

    def haproxy(self, base=22000, resume=True):
        name = "haproxy" if resume else "haproxy full"
        more = {"client_more": "" if resume else "no-ssl-reuse", "server_more": "" if resume else "no-tls-tickets"}
        processes = []
        for side, servers in (("source", HAPROXY_SOURCE), ("destination", HAPROXY_DESTINATION)):
            path = self.folder / f"haproxy-{side}-{base}.cfg"
            path.write_text(HAPROXY + self.each_port(servers, base, **more))
            processes.append(self.start(side, "haproxy", "haproxy", "-db", "-f", path))
        return Pair(name, base, processes)

    def haproxy_handshakes(self, base=23000):
        path = self.folder / "haproxy-handshakes.cfg"
        path.write_text(HAPROXY + self.fill(HAPROXY_HANDSHAKES, base))
        return self.start("destination", "haproxy-handshakes", "haproxy", "-db", "-f", path), base + 10

    def envoy(self, base=24000):
        texts = {
            "source": self.fill(ENVOY_SOURCE, base, listeners=self.each_port(ENVOY_SOURCE_LISTENER, base),
                                tls_context=self.fill(TLS_ENVOY, role="client")),
            "destination": self.fill(ENVOY_DESTINATION, base, hosts=self.each_port(ENVOY_HOST, base),
                                     clusters=self.each_port(ENVOY_CLUSTER, base),
                                     tls_context=self.fill(TLS_ENVOY, role="server"))}
        processes = []
        for side, text in texts.items():
            path = self.folder / f"envoy-{side}.yaml"
            path.write_text(text)
            processes.append(self.start(side, "envoy", "envoy", "-c", path, "--concurrency", "1", "--disable-hot-restart",
                                        "-l", "error"))
        return Pair("envoy", base, processes)

    def all(self):
        pairs = [self.nginx(), self.haproxy()]
        if shutil.which("envoy"):
            pairs.append(self.envoy())
        return pairs
