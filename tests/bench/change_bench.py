#!/usr/bin/env python3
"""From a change in the manifest directory to its being felt, at 1,000 services; and what agent and proxy cost at rest.

Kernel: an EndpointSlice moves a service between a port that listens and one that refuses; a client in an enrolled pod
connects until the answer changes. Proxy: a VirtualService moves between two prefixes; the client asks until 404 becomes 200.
The client runs in the pod's namespace and cgroup and takes its times there, so nothing but the change is in the figure.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from harness import ROOT, atexit, rss_kib, show, write_json

BIN = ROOT / "build" / "release" / "bin"
NAME = f"bench-{os.getpid()}"
SERVICES, ENDPOINTS, ROUNDS = 1000, 5, 100


def ctl(*words, check=True):
    done = subprocess.run([BIN / "weftctl", "sandbox", "--name", NAME, *words], capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(f"weftctl sandbox {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


def apply(text):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        ctl("apply", "-f", file.name)


BASE = """
apiVersion: v1
kind: Namespace
metadata: {name: mesh, labels: {weft.mesh/enabled: "true"}}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: mesh, labels: {app: client}}
spec: {nodeName: node1, containers: [{name: idle, image: weft/probe, args: [serve, "7000"]}, {name: web, image: cmssw/httpgo}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: mesh, labels: {app: server}}
spec: {nodeName: node1, containers: [{name: echo, image: weft/probe, args: [serve, "7000"]}, {name: web, image: cmssw/httpgo}]}
---
apiVersion: v1
kind: Pod
metadata: {name: far, namespace: mesh, labels: {app: far}}
spec: {nodeName: node2, containers: [{name: echo, image: weft/probe, args: [serve, "7000"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: mesh}
spec: {selector: {app: far}, ports: [{name: tcp, port: 7000}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: mesh}
spec: {selector: {app: server}, ports: [{name: http, port: 8888}]}
---
apiVersion: v1
kind: Service
metadata: {name: moving, namespace: mesh}
spec: {ports: [{name: tcp, port: 7000}]}
"""
SLICE = """apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: {ns}, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{name: tcp, port: {port}, protocol: TCP}}]
endpoints:
{endpoints}"""
ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: mesh}}
spec:
  hosts: [web]
  http: [{{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: web, port: {{number: 8888}}}}}}]}}]
"""
# Runs in the pod: writes the change, then asks until it is felt. Prints milliseconds, one a line.
CLIENT = r"""
import os, socket, sys, time
kind, file, first, second, address, port, rounds = sys.argv[1:8]
texts = [open(first).read(), open(second).read()]
def put(text):
    with open(file + '.tmp', 'w') as out: out.write(text)
    os.rename(file + '.tmp', file)
def kernel():
    s = socket.socket(); s.settimeout(1)
    try: s.connect((address, int(port))); return 0
    except OSError: return 1
    finally: s.close()
def proxy():
    s = socket.socket(); s.settimeout(1)
    try:
        s.connect((address, int(port)))
        s.sendall(b'GET /a HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n')
        return 0 if b' 200 ' in s.recv(64) else 1
    except OSError: return 1
    finally: s.close()
ask = kernel if kind == 'kernel' else proxy
now = ask()
for n in range(int(rounds)):
    want = 1 - now
    started = time.monotonic()
    put(texts[want])
    while ask() != want:
        if time.monotonic() - started > 5: sys.exit('the change was not felt within 5 s')
    print((time.monotonic() - started) * 1000)
    now = want
    time.sleep(0.05)
"""


def many_services(folder):
    """SERVICES services of ENDPOINTS endpoints each, in one file a service, as a cluster has them."""
    for n in range(SERVICES):
        endpoints = "".join(f"- {{addresses: [10.200.{n // 50}.{1 + (n % 50) * ENDPOINTS + e}], conditions: {{ready: true}}}}\n"
                            for e in range(ENDPOINTS))
        (folder / f"many-{n}.yaml").write_text(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}, namespace: many}}\n"
            f"spec: {{clusterIP: 10.97.{n // 250}.{1 + n % 250}, ports: [{{name: tcp, port: 80}}]}}\n---\n"
            + SLICE.format(name=f"s{n}-1", ns="many", service=f"s{n}", port=80, endpoints=endpoints))


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def measure(kind, file, texts, address, port):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-bench-"))
    paths = [folder / "0.yaml", folder / "1.yaml"]
    for path, text in zip(paths, texts):
        path.write_text(text)
    (folder / "client.py").write_text(CLIENT)
    out = as_client("/usr/bin/python3", folder / "client.py", kind, file, *paths, address, port, ROUNDS)
    values = [float(line) for line in out.split()]
    print(f"  {kind:<8} n={len(values)}  p50 {percentile(values, .5):.1f} ms  p99 {percentile(values, .99):.1f} ms  "
          f"max {max(values):.1f} ms   target: p99 <= 100 ms")
    return {"n": len(values), "p50": percentile(values, .5), "p99": percentile(values, .99), "max": max(values)}


def component_pids(name, node="node1"):
    """Processes of one component on one node of this sandbox, told by their cgroup."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if f"weft-sandbox-{NAME}/{node}/" in path.read_text() and path.parent.joinpath("comm").read_text().strip() == name:
                found.append(int(path.parent.name))
        except OSError:
            pass  # it has ended meanwhile
    return found


def as_client(*words):
    """Runs a program of this machine as the pod's: in its network namespace and its cgroup, with this machine's files."""
    root = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
    uid = ctl("get", "pods", "client", "-n", "mesh", "-o", "jsonpath={.metadata.uid}").strip()
    netns = ctl("get", "pods", "client", "-n", "mesh", "-o", r"jsonpath={.metadata.annotations.weft\.mesh/netns}").strip()
    cgroup = f"{root}/weft-sandbox-{NAME}/node1/kubepods/pod{uid}/idle/cgroup.procs"
    done = subprocess.run(["bash", "-c", f'echo $$ > {cgroup} && exec nsenter --net={netns} "$@"', "as-client", *map(str, words)],
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the client in the pod: {done.stdout}{done.stderr}")
    return done.stdout


def memory():
    return {name: sum(rss_kib(p) for p in component_pids(name)) / 1024 for name in ("weft-agent", "weft-proxy")}


def per_idle_connection(count=1000):
    """What the proxy of the calling node grows by for each silent relayed connection, in bytes."""
    before = sum(rss_kib(p) for p in component_pids("weft-proxy"))
    client = subprocess.Popen([BIN / "weftctl", "sandbox", "--name", NAME, "exec", "client", "-n", "mesh", "--", BIN / "probe",
                               "connect", "far.mesh:7000", "--mode", "idle", "--count", str(count), "--seconds", "8"],
                              stdout=subprocess.DEVNULL)
    time.sleep(5)
    after = sum(rss_kib(p) for p in component_pids("weft-proxy"))
    client.wait()
    return (after - before) * 1024 / count


def main():
    ctl("down", check=False)
    atexit.register(lambda: ctl("down", check=False))
    ctl("up", "--nodes", "2", "--image", f"weft/probe={BIN}/probe")
    apply(BASE)
    ctl("wait", "--timeout", "60")
    manifests = pathlib.Path(f"/run/weft/sandbox/{NAME}/manifests/user")
    time.sleep(3)
    idle = memory()
    print(f"memory at rest, 3 workloads (PSS, MiB): {json.dumps({k: round(v, 1) for k, v in idle.items()})}   target: sum of a node <= 30")
    each = per_idle_connection()
    print(f"memory of the proxy for an idle relayed connection: {each:.0f} bytes   target: <= 8192")
    many_services(manifests)
    time.sleep(3)
    loaded = memory()
    print(f"memory with {SERVICES} services of {ENDPOINTS} endpoints (PSS, MiB): {json.dumps({k: round(v, 1) for k, v in loaded.items()})}")
    address = ctl("get", "pods", "server", "-n", "mesh", "-o", "jsonpath={.status.podIP}").strip()
    moving = ctl("get", "services", "moving", "-n", "mesh", "-o", "jsonpath={.spec.clusterIP}").strip()
    web = ctl("get", "services", "web", "-n", "mesh", "-o", "jsonpath={.spec.clusterIP}").strip()
    endpoint = f"- {{addresses: [{address}], conditions: {{ready: true}}}}\n"
    slices = [SLICE.format(name="moving-1", ns="mesh", service="moving", port=p, endpoints=endpoint) for p in (7000, 7999)]
    (manifests / "bench-slice.yaml").write_text(slices[0])
    (manifests / "bench-route.yaml").write_text(ROUTE.format(prefix="/a"))
    time.sleep(1)
    print(f"from a changed file to its effect, {SERVICES} services:")
    results = {"kernel": measure("kernel", manifests / "bench-slice.yaml", slices, moving, 7000),
               "proxy": measure("proxy", manifests / "bench-route.yaml",
                                [ROUTE.format(prefix="/a"), ROUTE.format(prefix="/b")], web, 8888),
               "memory_idle_mib": idle, "memory_idle_connection_bytes": each, "memory_loaded_mib": loaded}
    write_json("change", results)


if __name__ == "__main__":
    main()
