#!/usr/bin/env python3
"""From a pod of one node to a pod of another: no proxy, TLS pairs of nginx and HAProxy, Envoy if it is on PATH, weft.

    client's pod                                              server's pod
    load (CPU 1) -> proxy (CPU 0) == mutual TLS, two nodes == proxy (CPU 0) -> server (CPU 1)

Every set-up goes through the same two nodes of one sandbox, one worker each, both proxies on one CPU. Their order is one
round after the other; ratios are taken round by round. weft's proxies are those of the nodes, the peers' run in the pods
themselves, so the wire between them is the same.
    --quick   one minute instead of about six
"""
import argparse
import contextlib
import re
import select
import statistics
import subprocess
import sys
import time

import handshakes
from harness import BUILD, allow_cubic, cpu_time, machine_facts, need, rss_kib, run, scratch, show, write_json
from mtls_goals import GOALS, judge
from sandbox import BIN, Pod, Sandbox, json_line, wait_until
from tls_peers import HTTP, TRAFFIC, Peers, make_certificates

PROXY_CPU, LOAD_CPU = 0, 1
PROGRAM = BUILD / "bench" / "bench_traffic"
CONNECTIONS, CHURN_SLOTS = 32, 16
NODES = ("node1", "node2")
TUNNEL_PORT = 15008
FAR_PODS, GROUP, STREAMS, PEER_TUNNELS = 96, 24, 1000, 200

CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: mesh, labels: {weft.mesh/enabled: "true"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: mesh}
spec: {selector: {app: server}, ports: [{name: tcp-traffic, port: 7100}, {name: tcp-web, port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: far, namespace: mesh}
spec:
  replicas: %d
  selector: {matchLabels: {app: far}}
  template:
    metadata: {labels: {app: far}}
    spec: {nodeName: node2, containers: [{name: far, image: weft/traffic, args: [serve, 0.0.0.0, "7100"]}]}
"""
POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec: {{nodeName: {node}, containers: [{{name: idle, image: bash}}]}}
"""
WEB_SERVER = """
worker_processes 1; daemon off; pid {dir}/{name}.pid; error_log /dev/null; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; server {{ listen 8080 backlog=4096; location / {{ return 200 "{body}"; }} }} }}
"""


class Setup:
    """One way from client to server. `sides`: the processes that are charged, source and destination apart."""

    def __init__(self, name, client, address, ports, sides):
        self.name, self.client, self.address, self.ports, self.sides = name, client, address, ports, sides

    def pids(self):
        return [pid for side in self.sides() for pid in side]

    def traffic(self, mode, *words):
        return json_line(self.client.run(PROGRAM, mode, self.address, self.ports[TRAFFIC], *words, cpu=LOAD_CPU))

    def wrk(self, connections, seconds):
        """Requests served and the median in microseconds."""
        out = self.client.run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                              f"http://{self.address}:{self.ports[HTTP]}/", cpu=LOAD_CPU)
        if "Non-2xx" in out or "Socket errors" in out:
            sys.exit(f"{self.name}: not every request was answered: {out}")
        value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
        return int(re.search(r"(\d+) requests in", out).group(1)), float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]

    def memory(self):
        return [sum(rss_kib(pid) for pid in side) * 1024 for side in self.sides()]


@contextlib.contextmanager
def charged(setup):
    """The seconds that the set-up's proxies spend inside, and how long it took."""
    cost = {}
    pids, started = setup.pids(), time.monotonic()
    before = cpu_time(pids)
    yield cost
    cost["cpu"], cost["wall"] = cpu_time(pids) - before, time.monotonic() - started


def bulk(setup, seconds):
    with charged(setup) as cost:
        out = setup.traffic("bulk", seconds)
    return {"bulk CPU": cost["cpu"] / out["bytes"] * 1e9, "bulk rate": out["bytes"] * 8e-9 / out["seconds"]}


def requests(setup, seconds):
    with charged(setup) as cost:
        done, median = setup.wrk(CONNECTIONS, seconds)
    return {"request CPU": cost["cpu"] / done * 1e6, "request rate": done / cost["wall"] / 1e3, "request p50": median / 1e3}


def one_connection(setup, seconds):
    with charged(setup) as cost:
        done, median = setup.wrk(1, seconds)
    return {"lone request p50": median, "lone request CPU": cost["cpu"] / done * 1e6}


def new_connections(setup, seconds):
    with charged(setup) as cost:
        out = setup.traffic("churn", seconds, CHURN_SLOTS)
    if out["errors"]:
        print(f"  {setup.name}: {out['errors']} of {out['count']} new connections failed: {out['last_error']}")
    if not out["count"]:
        sys.exit(f"{setup.name}: no connection was served")
    return {"connection CPU": cost["cpu"] / out["count"] * 1e6, "connection rate": out["count"] / out["seconds"] / 1e3,
            "connection p50": out["p50_us"] / 1e3}


@contextlib.contextmanager
def held(pod, addresses, port, count):
    """`count` idle connections to each address, each of which has been used once."""
    holder = pod.start(PROGRAM, "idle", ",".join(addresses), port, count, cpu=LOAD_CPU, stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE)
    try:
        if not select.select([holder.stdout], [], [], 60)[0] or not holder.stdout.readline():
            sys.exit(f"{count} idle connections to each of {len(addresses)} addresses could not be opened")
        yield
    finally:
        holder.stdin.close()
        pod.sandbox.stop(holder)


def idle_memory(setup, addresses, port, count):
    """What each side grows by for one of the connections, in bytes; and the CPU of both for opening one, in ms."""
    before, total, spent = setup.memory(), count * len(addresses), cpu_time(setup.pids())
    with held(setup.client, addresses, port, count):
        spent = cpu_time(setup.pids()) - spent
        time.sleep(1)
        after = setup.memory()
    return [(a - b) / total for a, b in zip(after, before)], spent / total * 1e3


class Tunnels:
    """weft's tunnels to a group of pods, each to be called once."""

    def __init__(self, sandbox, weft, addresses):
        self.sandbox, self.weft, self.addresses = sandbox, weft, addresses

    @classmethod
    def groups(cls, sandbox, weft):
        names = sandbox.ctl("get", "pods", "-n", "mesh", "-l", "app=far", "-o", "name").split()
        addresses = [Pod(sandbox, "mesh", name.rsplit("/", 1)[-1]).ip for name in names]
        # A first packet makes ARP ask every pod of the node, in the time of whoever sends it: not a tunnel's cost.
        greet = "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor a in sys.argv[1:]: s.sendto(b'', (a, 9))"
        weft.client.run("python3", "-c", greet, *addresses, cpu=LOAD_CPU)
        time.sleep(1)
        return [cls(sandbox, weft, addresses[i:i + GROUP]) for i in range(0, len(addresses), GROUP)]

    def counted(self):
        return {kind: self.sandbox.counter("node1", f"weft_proxy_{name}_total") for kind, name in
                (("opened", "hbone_tunnels_opened"), ("full", "tls_handshakes_full"), ("resumed", "tls_handshakes_resumed"))}

    def call_each(self, call):
        """What `call` returns, and whether every call opened a tunnel, by a handshake of that kind."""
        before = self.counted()
        result = call()
        grown = {kind: number - before[kind] for kind, number in self.counted().items()}
        every = len(self.addresses)
        kinds = [k for k in ("full", "resumed") if grown[k] >= every and grown["opened"] >= every]
        print(f"weft: {every} pods called: {grown['opened']:.0f} tunnels opened, {grown['full']:.0f} handshakes in full, "
              f"{grown['resumed']:.0f} resumed")
        return result, kinds[0] if len(kinds) == 1 else None

    def again(self):
        """CPU of both sides for a tunnel and its first stream, in ms, once the tunnels there were have been cut."""
        run("nsenter", f"--net={self.weft.client.netns}", "ss", "-K", "-t", "dport", "=", f":{TUNNEL_PORT}", check=False)
        time.sleep(0.5)
        before = cpu_time(self.weft.pids())
        with held(self.weft.client, self.addresses, TRAFFIC, 1):
            return (cpu_time(self.weft.pids()) - before) / len(self.addresses) * 1e3


def build_cluster(far_pods):
    sandbox = Sandbox(2, {"weft/proxy": f"{BIN}/weft-proxy --workers 1", "weft/traffic": PROGRAM})
    pods = [(ns, name, node) for ns in ("mesh", "plain") for name, node in (("client", "node1"), ("server", "node2"))]
    sandbox.apply(CLUSTER % far_pods + "".join(POD.format(namespace=ns, name=name, node=node) for ns, name, node in pods))
    sandbox.ctl("wait", "--timeout", "90")
    found = {(ns, name): Pod(sandbox, ns, name) for ns, name, _ in pods}
    for pod in found.values():
        # Ports must not run out while connections are made and closed; listeners of the peers stay below the range.
        pod.sysctl("net.ipv4.tcp_tw_reuse", "1")
        pod.sysctl("net.ipv4.ip_local_port_range", "32768 65000")
    for node in NODES:
        for component in ("weft-proxy", "weft-agent"):
            for pid in sandbox.pids(component, node):
                run("taskset", "-a", "-p", "-c", str(PROXY_CPU), str(pid))
    return sandbox, found


def start_servers(pods, folder):
    for namespace in ("mesh", "plain"):
        path = folder / f"web-{namespace}.conf"
        path.write_text(WEB_SERVER.format(dir=folder, name=f"web-{namespace}", body="x" * 128))
        server = pods[namespace, "server"]
        server.start("nginx", "-c", path, cpu=LOAD_CPU, log=folder / "web.log")
        server.start(PROGRAM, "serve", "0.0.0.0", TRAFFIC, cpu=LOAD_CPU, log=folder / "traffic.log")


def make_setups(sandbox, pods, folder):
    plain, server = pods["plain", "client"], pods["plain", "server"]
    same = {HTTP: HTTP, TRAFFIC: TRAFFIC}
    service = sandbox.ctl("get", "services", "server", "-n", "mesh", "-o", "jsonpath={.spec.clusterIP}").strip()
    setups = [Setup("no proxy", plain, server.ip, same, lambda: [[], []])]
    make_certificates(folder)
    peers = Peers(plain, server, folder, PROXY_CPU)
    pairs = peers.all()
    setups += [Setup(p.name, plain, plain.ip, p.ports, p.pids) for p in pairs]
    setups.append(Setup("weft", pods["mesh", "client"], service, same, lambda: [sandbox.pids("weft-proxy", n) for n in NODES]))
    full = peers.haproxy(base=22500, resume=False)
    return setups, Setup(full.name, plain, plain.ip, full.ports, full.pids), peers


def answers(setup):
    for port in setup.ports.values():
        words = ["curl", "-s", "-m", "2", "-o", "/dev/null", f"http://{setup.address}:{port}/"]
        try:
            subprocess.run(setup.client.words(words, LOAD_CPU, True), check=port == setup.ports[HTTP], timeout=5)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
    return True


def path_counts(sandbox):
    """By node and connection_security_policy the connections that weft's proxies have opened; streams that node2 accepted."""
    out = {"streams": sandbox.counter("node2", "weft_proxy_hbone_streams_accepted_total")}
    for node in NODES:
        for name, labels, number in sandbox.metrics(node):
            if name == "istio_tcp_connections_opened_total":
                key = f"{node} {labels.get('connection_security_policy', '?')}"
                out[key] = out.get(key, 0) + number
    return out


def say_path(sandbox, before):
    """Whether weft's figures are those of mutual TLS: by the labels, and by streams really accepted on the other node."""
    seen = {k: n - before.get(k, 0) for k, n in path_counts(sandbox).items()}
    streams = seen.pop("streams")
    sent = sum(n for key, n in seen.items() if key.startswith("node1 "))
    # A connection that failed before it was carried anywhere may have another label.
    secured = sent > 0 and min(seen.get("node1 mutual_tls", 0), streams) >= 0.999 * sent
    text = ", ".join(f"{key} {number:.0f}" for key, number in sorted(seen.items()) if number)
    print(f"\nconnections of weft by connection_security_policy: {text or 'none'}; HBONE streams accepted on node2: {streams:.0f}")
    if not secured:
        print("  NOT mutual TLS: weft's figures below are not those of its encrypted path; no target is judged by them")
    return {"mutual_tls": secured, "connections": seen, "streams": streams}


def stream_memory(weft, count, rows):
    grown, _ = idle_memory(weft, [weft.address], TRAFFIC, count)
    print(f"weft: {count} idle connections to one pod; growth a connection, source and destination: {grown[0]:.0f} and "
          f"{grown[1]:.0f} bytes")
    rows["stream memory"]["weft"] = [max(grown) / 1024]


def weft_rows(sandbox, weft, passes, streams, rows):
    first, *others = Tunnels.groups(sandbox, weft)

    def call_new(group):  # pods that were never called before: in full
        (grown, cpu), kind = group.call_each(lambda: idle_memory(weft, group.addresses, TRAFFIC, 1))
        if kind != "full":
            sys.exit("not a tunnel, and a handshake in full, each: nothing to say of them")
        return grown, cpu

    # The first group also warms up: a fresh process runs into page faults and empty caches. Its tunnels stay.
    grown, _ = call_new(first)
    print(f"  growth a call, source and destination: {grown[0]:.0f} and {grown[1]:.0f} bytes")
    rows["tunnel memory"]["weft"] = [max(grown) / 1024]
    stream_memory(weft, streams, rows)
    rows["fresh full CPU"]["weft"] = [call_new(group)[1] for group in others]
    again = [first.call_each(first.again) for _ in range(passes)]
    rows["fresh resumed CPU"]["weft"] = [cpu for cpu, kind in again if kind == "resumed"]


def idle_rows(sandbox, setups, quick):
    """Memory, and tunnels opened for one connection. First of all, while nothing has been freed that could be used again."""
    rows = {"tunnel memory": {}, "stream memory": {}, "fresh full CPU": {}, "fresh resumed CPU": {}}
    weft = next(s for s in setups if s.name == "weft")
    for setup in setups:
        if setup.pids() and setup is not weft:
            grown, _ = idle_memory(setup, [setup.address], setup.ports[TRAFFIC], PEER_TUNNELS)
            rows["stream memory" if setup.name == "envoy" else "tunnel memory"][setup.name] = [max(grown) / 1024]
    weft_rows(sandbox, weft, 1 if quick else 5, STREAMS // (4 if quick else 1), rows)
    return rows


def load_rows(sandbox, setups, full, options):
    rows = {}
    agents = []
    for round_number in range(options.rounds + 1):
        for setup in setups + [full]:
            kinds = [new_connections] if setup is full else [bulk, requests, one_connection, new_connections]
            for kind in kinds:
                pids = [p for n in NODES for p in sandbox.pids("weft-agent", n)]
                before = cpu_time(pids)
                values = kind(setup, options.seconds if round_number else 1)
                if not round_number:
                    continue  # the first round warms up
                if setup.name == "weft" and kind is new_connections:
                    made = values["connection rate"] * 1e3 * options.seconds
                    agents.append((cpu_time(pids) - before) / made * 1e6)
                for name, value in values.items():
                    rows.setdefault(name, {}).setdefault(setup.name, []).append(value)
    for name in [n for n in rows if n.endswith("CPU")]:
        rows[name].pop("no proxy", None)
    for name in ("connection rate", "connection p50"):
        rows[name].pop(full.name, None)
    print(f"weft's two agents, beside the proxies: {statistics.median(agents):.1f} us of CPU a new connection (stocked sockets)")
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one minute, one round")
    options = parser.parse_args()
    options.rounds, options.seconds = (1, 1) if options.quick else (5, 2)
    need("nginx", "haproxy", "wrk", "openssl", "nsenter", "taskset", "curl", "ss")
    allow_cubic()
    folder = scratch()
    sandbox, pods = build_cluster(2 * GROUP if options.quick else FAR_PODS)
    facts = machine_facts({f"{ns}/{name}": pod.sysctl("net.ipv4.tcp_congestion_control") for (ns, name), pod in pods.items()})
    start_servers(pods, folder)
    setups, full, peers = make_setups(sandbox, pods, folder)
    for setup in setups + [full]:
        wait_until(f"{setup.name} to answer", lambda: answers(setup))
    before = path_counts(sandbox)
    rows = idle_rows(sandbox, setups, options.quick)
    rows.update(load_rows(sandbox, setups, full, options))
    rows["fresh full CPU"]["haproxy"] = [v / 1e3 for v in rows["connection CPU"].pop(full.name)]
    rows["fresh resumed CPU"].update({n: [v / 1e3 for v in rows["connection CPU"][n]] for n in ("nginx", "haproxy")})
    path = say_path(sandbox, before)
    rows["handshake rate"] = {"arithmetic": [handshakes.arithmetic_limit(1 if options.quick else 3)],
                              "haproxy": [handshakes.haproxy_rate(peers, pods["plain", "client"], LOAD_CPU, 2)]}
    mine = handshakes.weft_both_sides(PROXY_CPU)
    if "full" in mine:
        rows["handshake rate"]["weft"] = [2e6 / mine["full"]]
    for kind, us in mine.items():
        rows[f"fresh {kind} CPU"]["weft, handshake alone"] = [us / 1e3]
    print(f"\nrounds: {options.rounds} of {options.seconds} s for each row and set-up in turn; figures are medians")
    results = [judge(goal, rows[name], path["mutual_tls"] or name == "handshake rate") for name, goal in GOALS.items()]
    write_json("mtls", {"machine": facts, "path": path, "results": results})


if __name__ == "__main__":
    main()
