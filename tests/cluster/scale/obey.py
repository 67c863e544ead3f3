"""How long until a node obeys: a changed endpoint, from the write to the API server to the connections of an enrolled pod."""
import os
import pathlib
import subprocess
import sys
import time

from api import MERGE
from meter import processes, until

HERE = pathlib.Path(__file__).resolve().parent
SPACE = "scale-probe"
SLICE = f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices"
OPEN, CLOSED = 8888, 9


def cgroup2():
    with open("/proc/self/mountinfo", encoding="utf8") as mounts:
        return next(line.split()[4] for line in mounts if " - cgroup2 " in line)


def real_pod(name, image):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": "node1", "terminationGracePeriodSeconds": 1, "containers": [{"name": name, "image": image}]}}


class Obey:
    """A client and a server, both enrolled, on node1, and a Service whose one endpoint is written by hand."""

    def __init__(self, api):
        self.api = api
        call = api.call
        call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": SPACE, "labels": {"istio-injection": "enabled", "weft.test/scale": "true"}}})
        if until(20, lambda: call("GET", f"/api/v1/namespaces/{SPACE}/serviceaccounts/default", absent_ok=True)) is None:
            sys.exit("scale: no default ServiceAccount")
        path = f"/api/v1/namespaces/{SPACE}/pods"
        call("POST", path, real_pod("client", "weft.local/tools:dev"))
        call("POST", path, real_pod("server", "cmssw/httpgo"))
        call("POST", f"/api/v1/namespaces/{SPACE}/services", {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe"}, "spec": {"ports": [{"name": "tcp", "port": 80}]}})
        self.address = call("GET", f"/api/v1/namespaces/{SPACE}/services/probe")["spec"]["clusterIP"]
        if until(60, self.captured) is None:
            sys.exit("scale: the pods of the probe are not captured within 60 s")
        server = call("GET", f"{path}/server")["status"]["podIP"]
        call("POST", SLICE, {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                             "metadata": {"name": "probe", "labels": {"kubernetes.io/service-name": "probe"}},
                             "endpoints": [{"addresses": [server], "targetRef": {"kind": "Pod", "namespace": SPACE, "name": "server"}}],
                             "ports": [{"name": "tcp", "port": OPEN, "protocol": "TCP"}]})
        self.child = self.start(call("GET", f"{path}/client")["metadata"]["uid"])
        if self.answer("ok") is None:
            sys.exit("scale: the probe's server is not reached")

    def captured(self):
        pods = self.api.call("GET", f"/api/v1/namespaces/{SPACE}/pods")["items"]
        # A pod is captured before the kubelet has written down its address.
        return len(pods) == 2 and all(p["metadata"].get("annotations", {}).get("ambient.istio.io/redirection") == "enabled" and
                                      p["status"].get("podIP") for p in pods)

    def start(self, uid):
        pid = processes(uid, "sleep")[0]
        path = next(line.split(":", 2)[2].strip() for line in open(f"/proc/{pid}/cgroup", encoding="utf8") if line.startswith("0::"))

        def join():
            pathlib.Path(cgroup2() + path, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        return subprocess.Popen(["nsenter", f"--net=/proc/{pid}/ns/net", "--", "python3", str(HERE / "probe.py"), self.address, "80"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=join)

    def answer(self, wanted):
        self.ask(wanted)
        return self.seen()

    def ask(self, wanted):
        self.child.stdin.write(wanted + "\n")
        self.child.stdin.flush()

    def seen(self):
        line = self.child.stdout.readline().strip()
        return float(line) if line not in ("", "never") else None

    def once(self, port):
        """Seconds from the write to the first connection that obeys it."""
        self.ask("ok" if port == OPEN else "refused")
        begin = time.monotonic()
        self.api.call("PATCH", f"{SLICE}/probe", {"ports": [{"name": "tcp", "port": port, "protocol": "TCP"}]}, MERGE)
        seen = self.seen()
        return seen - begin if seen is not None else None

    def times(self, rounds):
        return [t for _ in range(rounds) for t in (self.once(CLOSED), self.once(OPEN))]

    def close(self):
        self.child.kill()
        self.child.wait()
