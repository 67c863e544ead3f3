#!/usr/bin/env python3
"""HTTP through one pinned proxy: CPU per request of weft, nginx, HAProxy, nghttpx and, if it is on PATH, Envoy.

The proxy has CPU 0; load generator and server share CPU 1. Every peer proxies to the same server on the same address.
"""
import re
import shutil
import sys
import time

from harness import (Namespace, ROOT, cpu_seconds, machine, need, rss_kib, scratch, show, wait_port, write_json)

ADDRESS, SERVER_PORT = "10.99.0.1", 9000
SECONDS, ROUNDS = 4, 5
BIN = ROOT / "build" / "release" / "bin"

NGINX_SERVER = """
worker_processes 1; daemon off; pid {dir}/server.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000;
  server {{ listen {address}:{port} reuseport; location / {{ return 200 "{body}"; }} }} }}
"""
NGINX_PROXY = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000;
  upstream s {{ server {address}:{server}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen {address}:{port} {h2};
    location /httpgo {{ proxy_pass http://s; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; }} }} }}
"""
HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind {address}:{port} {h2}
  use_backend b if {{ path_beg /httpgo }}
backend b
  server s {address}:{server}
"""
ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: {address}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: AUTO
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{path: /httpgo}}, route: {{cluster: server}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: server
    type: STATIC
    load_assignment:
      cluster_name: server
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {address}, port_value: {server}}}}}}}
"""
MESH = """
apiVersion: v1
kind: Namespace
metadata: {{name: dev}}
---
apiVersion: v1
kind: Pod
metadata: {{name: gw, namespace: istio-system, labels: {{istio: ingressgateway}}}}
spec: {{nodeName: n1, containers: [{{name: proxy, image: weft}}]}}
status: {{phase: Running, podIPs: [{{ip: {address}}}], podIP: {address}}}
---
apiVersion: v1
kind: Service
metadata: {{name: istio-ingressgateway, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  ports: [{{name: http2, port: 80, targetPort: {port}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: httpgo, namespace: dev}}
spec:
  clusterIP: 10.96.0.10
  ports: [{{name: http, port: {server}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: httpgo-1, namespace: dev, labels: {{kubernetes.io/service-name: httpgo}}}}
addressType: IPv4
ports: [{{name: http, port: {server}, protocol: TCP}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: g, namespace: dev}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v, namespace: dev}}
spec:
  hosts: ["*"]
  gateways: [g]
  http: [{{match: [{{uri: {{exact: /httpgo}}}}], route: [{{destination: {{host: httpgo, port: {{number: {server}}}}}}}]}}]
"""


def fill(text, **values):
    return text.format(address=ADDRESS, server=SERVER_PORT, **values)


class Peer:
    """One proxy: how to start it pinned, and which processes are charged."""

    def __init__(self, name, port, start):
        self.name, self.port, self.start = name, port, start
        self.charged = []


def weft(namespace, folder, port):
    (folder / "manifests").mkdir()
    (folder / "manifests" / "mesh.yaml").write_text(fill(MESH, port=port))
    socket = folder / "proxy.sock"
    agent = namespace.start(str(BIN / "weft-agent"), "--role", "gateway", "--namespace", "istio-system", "--pod", "gw",
                            "--manifests", str(folder / "manifests"), "--status-dir", str(folder / "status"),
                            "--proxy-socket", str(socket), "--proxy-user", "65534", "--log-level", "warn", cpu=1, log=folder / "agent.log")
    proxy = namespace.start(str(BIN / "weft-proxy"), "--agent-socket", str(socket), "--workers", "1",
                            "--metrics-address", "127.0.0.1:15020", "--ready-address", "127.0.0.1:15021",
                            "--admin-address", "127.0.0.1:15000", cpu=0, log=folder / "proxy.log")
    return [proxy], [agent]


def peers(namespace, folder, h2):
    def nginx(port):
        (folder / "nginx.conf").write_text(fill(NGINX_PROXY, dir=folder, port=port, h2="http2" if h2 else ""))
        return [namespace.start("nginx", "-c", str(folder / "nginx.conf"), cpu=0)], []

    def haproxy(port):
        (folder / "haproxy.cfg").write_text(fill(HAPROXY, port=port, h2="proto h2" if h2 else ""))
        return [namespace.start("haproxy", "-db", "-f", str(folder / "haproxy.cfg"), cpu=0)], []

    def nghttpx(port):
        return [namespace.start("nghttpx", f"-f{ADDRESS},{port};no-tls", f"-b{ADDRESS},{SERVER_PORT}", "-n1",
                                "--conf=/dev/null", "--errorlog-file=/dev/null", "--accesslog-file=/dev/null",
                                "--single-thread", cpu=0)], []

    def envoy(port):
        (folder / "envoy.yaml").write_text(fill(ENVOY, port=port))
        return [namespace.start("envoy", "-c", str(folder / "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart",
                                "-l", "error", cpu=0, log=folder / "envoy.log")], []

    table = [("weft", 8081, lambda port: weft(namespace, folder, port)), ("nginx", 8082, nginx),
             ("haproxy", 8083, haproxy), ("nghttpx", 8084, nghttpx)]
    if shutil.which("envoy"):
        table.append(("envoy", 8085, envoy))
    return [Peer(*row) for row in table]


def load(namespace, port, h2):
    """Requests served in one round, and how many were not 2xx."""
    url = f"http://{ADDRESS}:{port}/httpgo"
    if h2:
        out = namespace.run("h2load", "-t1", "-c8", "-m16", f"-D{SECONDS}", url, cpu=1).stdout
        done = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
        bad = sum(map(int, re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out).groups()))
        return done, bad
    out = namespace.run("wrk", "-t1", "-c32", f"-d{SECONDS}s", url, cpu=1).stdout
    done = int(re.search(r"(\d+) requests in", out).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return done, int(bad.group(1)) if bad else 0


def one_bench(namespace, title, h2, base, target):
    folder = scratch()
    all_peers = peers(namespace, folder, h2)
    helpers = []
    for peer in all_peers:
        peer.charged, more = peer.start(peer.port)
        helpers += more
    for peer in all_peers:
        wait_port(namespace, ADDRESS, peer.port)
    cost, rate = {p.name: [] for p in all_peers}, {p.name: [] for p in all_peers}
    for round_number in range(ROUNDS + 1):
        for peer in all_peers:
            before, started = sum(cpu_seconds(p.pid) for p in peer.charged), time.monotonic()
            done, bad = load(namespace, peer.port, h2)
            spent, took = sum(cpu_seconds(p.pid) for p in peer.charged) - before, time.monotonic() - started
            if bad or not done:
                sys.exit(f"{peer.name}: {done} good and {bad} bad answers: nothing to compare")
            if round_number:  # the first round warms up
                cost[peer.name].append(spent / done * 1e6)
                rate[peer.name].append(done / took / 1000)
    memory = {p.name: sum(rss_kib(x.pid) for x in p.charged) / 1024 for p in all_peers}
    for process in [x for p in all_peers for x in p.charged] + helpers:
        namespace.stop(process)
    results = [show(f"{title}: CPU per request", "us", cost, base, target),
               show(f"{title}: throughput", "k requests/s", rate, base)]
    print("  memory after the load (PSS, MiB): " + ", ".join(f"{n} {m:.1f}" for n, m in memory.items()))
    return results


def main():
    need("nginx", "haproxy", "nghttpx", "wrk", "h2load", "taskset")
    namespace = Namespace("http")
    facts = machine(namespace)
    folder = scratch()
    (folder / "server.conf").write_text(NGINX_SERVER.format(dir=folder, address=ADDRESS, port=SERVER_PORT, body="x" * 128))
    namespace.start("nginx", "-c", str(folder / "server.conf"), cpu=1)
    wait_port(namespace, ADDRESS, SERVER_PORT)
    print(f"rounds: {ROUNDS} of {SECONDS} s for each peer in turn, after one to warm up; proxy on CPU 0, load and server on CPU 1"
          + ("" if shutil.which("envoy") else "; no envoy on PATH"))
    results = one_bench(namespace, "HTTP/1.1, wrk, 32 connections", False, "nginx", "weft <= 1.00 x nginx")
    results += one_bench(namespace, "HTTP/2 in, HTTP/1.1 out, h2load 8 x 16", True, "nghttpx", "weft <= 1.10 x nghttpx")
    write_json("http", {"machine": facts, "results": results})


if __name__ == "__main__":
    main()
