"""The cluster, the load on it and the capture: what cases.py makes its faults with. Run by faults.py."""
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOOL = os.environ["WEFT_CLUSTER_TOOL"]
CLUSTER = os.environ.get("WEFT_CLUSTER", "lab")
STRICT, OUTSIDE = "strict-namespace-body-5b1f", "body-from-beyond-the-mesh-77ac"
GOOD = ("ok", "reopened")  # reopened: a kept connection of HTTP ended between two requests, and the next one was served
STRANGE = "body-of-a-stranger-90e3"  # not searched for: a stranger may write until it is reset


def run(words, check=True, limit=120, feed=None):
    done = subprocess.run(words, capture_output=True, text=True, timeout=limit, input=feed)
    if check and done.returncode != 0:
        sys.exit(f"faults: {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def cluster(*words, check=True):
    return run([TOOL, "--name", CLUSTER, *words], check)


def kubectl(*words, check=True, feed=None):
    return run([os.environ["WEFT_KUBECTL"], *words], check, feed=feed)


def until(seconds, condition, step=0.1):
    """Seconds it took, or None."""
    start = time.time()
    while time.time() - start < seconds:
        if condition():
            return time.time() - start
        time.sleep(step)
    return None


def pods(namespace, labels):
    """Ready pods that are not ending: node -> object. Of two on a node the younger."""
    found = {}
    items = json.loads(kubectl("get", "pods", "-n", namespace, "-l", labels, "-o", "json"))["items"]
    for pod in sorted(items, key=lambda p: p["metadata"]["creationTimestamp"]):
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
        if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
            found[pod["spec"]["nodeName"]] = pod
    return found


def processes(pod, name=None):
    """Pids, as this machine sees them, of the pod's processes (of that name)."""
    uid, found = pod["metadata"]["uid"], []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if name in (None, (folder / "comm").read_text().strip()) and uid in (folder / "cgroup").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def span(failed):
    return f"{min(t for t, _, _ in failed):.2f}-{max(t for t, _, _ in failed):.2f} s" if failed else ""


def causes(failed):
    """How often each; of the whole fault as of one flow."""
    return ", ".join(f"{o} {n}" for o, n in collections.Counter(o for _, _, o in failed).most_common())


def cgroup2():
    with open("/proc/self/mountinfo", encoding="utf8") as mounts:
        return next(line.split()[4] for line in mounts if " - cgroup2 " in line)


def flow(name, node, host, port, rate, mark):
    """One of load.py's; the end of its name says whether connections are kept."""
    return {"name": f"{name}-{node}", "host": host, "port": port, "rate": rate, "kind": name.rsplit("-", 1)[1], "mark": mark,
            "proto": "echo" if "echo" in name else "http"}


class Load:
    """Generators in pods of the cluster (their network and cgroup) and beyond it; what they noted."""

    def __init__(self, folder):
        self.folder, self.children = folder, {}

    def start(self, name, netns, flows, group=None):
        def join():
            if group:
                pathlib.Path(group, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        command = ["nsenter", f"--net={netns}", "--", "python3", str(HERE / "load.py"), f"{self.folder}/{name}.log", json.dumps(flows)]
        with open(f"{self.folder}/{name}.err", "a", encoding="utf8") as errors:
            self.children[name] = subprocess.Popen(command, preexec_fn=join, stderr=errors)

    def start_in(self, pod, flows):
        """As the pod's own process. The name of the generator is that of the pod."""
        pid = processes(pod, "sleep")[0]
        path = next(line.split(":", 2)[2].strip() for line in open(f"/proc/{pid}/cgroup", encoding="utf8") if line.startswith("0::"))
        self.start(pod["metadata"]["name"], f"/proc/{pid}/ns/net", flows, cgroup2() + path)

    def stop(self, name):
        child = self.children.pop(name)
        child.kill()
        child.wait()

    def close(self):
        for name in list(self.children):
            self.stop(name)

    def notes(self, begin, end):
        """flow -> [(seconds since begin, outcome, milliseconds)] in order."""
        found = collections.defaultdict(list)
        for path in pathlib.Path(self.folder).glob("*.log"):
            for line in path.read_text(encoding="ascii").splitlines():
                words = line.split(" ")
                if len(words) == 4 and begin <= float(words[0]) < end:
                    found[words[1]].append((float(words[0]) - begin, words[2], float(words[3])))
        return {flow: sorted(notes) for flow, notes in found.items()}


class Lab:
    def __init__(self, folder):
        self.load, self.breaches = Load(folder), 0
        self.let_in = []  # (from, to): when strangers may be answered
        self.rest, self.sick = 8, False
        self.folder, self.lost = folder, {}
        kubectl("apply", "--server-side", "-f", str(HERE / "world.yaml"))
        if until(90, self.whole, 0.5) is None:
            sys.exit("faults: the world does not become ready:\n" + kubectl("get", "pods", "-A", "-o", "wide"))
        service = json.loads(kubectl("get", "service", "-n", "istio-system", "istio-ingressgateway", "-o", "json"))
        self.port = next(p["nodePort"] for p in service["spec"]["ports"] if p["name"] == "http2")
        self.start_load()
        self.start_wire()
        time.sleep(3)

    @staticmethod
    def whole():
        return all(len(pods("dev", f"app={app}")) == 2 for app in ("httpgo", "client", "victim")) and len(
            pods("plain", "app=stranger")) == 2 and kubectl("get", "pods", "-n", "dev", "-o", "json").count('redirection": "enabled') >= 6

    def address(self, node):
        return pods("dev", "app=httpgo")[node]["status"]["podIP"]

    def start_load(self, nodes=("node1", "node2")):
        """200 requests a second. To pods' addresses the mesh carries bytes (layer 4: HTTP and an echo over TCP); what asks
        the Service or the gateway is read as HTTP (layer 7)."""
        servers = {n: self.address(n) for n in ("node1", "node2")}
        service = json.loads(kubectl("get", "service", "-n", "dev", "httpgo", "-o", "json"))["spec"]["clusterIP"]
        clients, strangers = pods("dev", "app=client"), pods("plain", "app=stranger")
        for node in nodes:
            flows = [flow("service-new", node, service, 8888, 10, STRICT), flow("service-keep", node, service, 8888, 10, STRICT)]
            for target, address in servers.items():
                where = "same" if target == node else "cross"
                flows += [flow(f"{where}-{kind}", node, address, 8888, 8, STRICT) for kind in ("new", "keep")]
                flows += [flow(f"{where}-echo-{kind}", node, address, 7000, 4 if kind == "new" else 6, STRICT)
                          for kind in ("new", "keep")]
            self.load.start_in(clients[node], flows)
            self.load.start_in(strangers[node], [flow(f"stranger-{t}-new", node, a, 8888, 3, STRANGE) for t, a in servers.items()])
        if "outside" not in self.load.children:
            self.load.start("outside", f"/run/netns/weft-{CLUSTER}-outside",
                            [flow(f"gateway-{k}", "out", "10.77.0.11", self.port, 28, OUTSIDE) for k in ("new", "keep")])

    def start_load_of_one(self, client, server):
        """Only what a node does for itself: while the other is away."""
        self.load.start_in(client, [flow(f"same-{kind}", "node1", server, 8888, 8, STRICT) for kind in ("new", "keep")])

    def start_wire(self):
        """On the switch, at the wire of node1."""
        self.wire_out = f"{self.folder}/wire.json"
        self.wire = subprocess.Popen(["python3", str(HERE / "wire.py"), "node1", self.wire_out, STRICT, OUTSIDE])
        if until(5, lambda: os.path.exists(self.wire_out + ".ready")) is None:
            sys.exit("faults: the capture does not start")

    def close(self):
        self.load.close()
        if self.wire.poll() is None:
            self.wire.send_signal(signal.SIGTERM)
            self.wire.wait(10)

    def close_and_judge(self):
        """Whether nothing was seen that should not be."""
        self.close()
        wire = json.loads(pathlib.Path(self.wire_out).read_text(encoding="ascii"))
        clear = {where: n for where, n in wire["seen"].items() if STRICT in where or "port 8888" in where}
        control = sum(n for where, n in wire["seen"].items() if OUTSIDE in where)
        print(f"\nwire of node1: {wire['packets']} packets, {wire['lost']} lost, {wire['hbone']} of HBONE; plain bodies before the "
              f"gateway (they prove the capture): {control}; plain bodies of the strict namespace: {sum(clear.values())}")
        for where, count in clear.items():
            print(f"  PLAIN TEXT {count} x {where}")
        print(f"answers to strangers in plain text: {self.breaches}")
        sound = wire["lost"] == 0 and control > 0 and wire["hbone"] > 0
        return sound and not clear and self.breaches == 0 and not self.sick

    def fault(self, name, act, recovered=lambda: True, limit=90, rest=None):
        """Makes it, waits until all is well again, and enters a line for it. `act` says what is worth a remark."""
        time.sleep(1)
        begin = time.time()
        remarks = [act() or ""]
        took = until(limit, recovered, 0.3)
        if took is None:
            remarks.append(f"NOT WELL AFTER {limit} s")
            self.sick = True
        elif took > 1:
            remarks.append(f"well after {time.time() - begin:.0f} s")
        time.sleep(self.rest if rest is None else rest)
        end = time.time() - 3.2  # of later requests not every end is known
        self.enter(name, begin, max(end, begin + 1), [r for r in remarks if r])

    def enter(self, name, begin, end, remarks):
        """A line for the fault, and one for each flow that lost something: when and why."""
        notes = self.load.notes(begin, end)
        late = max((ms for _, _, ms in notes.pop("-lag", [])), default=0)
        mesh = {f: n for f, n in notes.items() if not f.startswith(("stranger", "scan"))}
        breaches = sum(o == "ok" and not self.may_enter(begin + t) for f, n in notes.items() if f not in mesh for t, o, _ in n)
        self.breaches += breaches
        asked = sum(map(len, mesh.values()))
        failed = [(t, f, o) for f, n in mesh.items() for t, o, _ in n if o not in GOOD]
        self.lost[name] = len(failed)
        reopened = sum(o == "reopened" for n in mesh.values() for _, o, _ in n)
        slowest = max((ms for n in mesh.values() for _, o, ms in n if o in GOOD), default=0)
        if late > 0:
            remarks.append(f"load makers up to {late:.0f} ms late (CPU)")
        print(f"| {name} | {asked} | {asked / (end - begin):.0f}/s | {len(failed)} | {span(failed)} | {causes(failed)} | {reopened} | "
              f"{slowest:.0f} | {breaches} | {os.getloadavg()[0]:.1f} | {'; '.join(remarks)} |", flush=True)
        for name, entries in sorted(mesh.items()):
            own = [(t, name, o) for t, o, _ in entries if o not in GOOD]
            if own:
                print(f"|   {name} | {len(entries)} | | {len(own)} | {span(own)} | {causes(own)} | | | | | |", flush=True)

    def may_enter(self, when):
        return any(begin <= when < end for begin, end in self.let_in)

    def kill(self, namespace, labels, node, process):
        pids = processes(pods(namespace, labels)[node], process)
        if not pids:
            sys.exit(f"faults: no {process} in {namespace} {labels} on {node}")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def weft_is_well(self):
        """All of weft and the world ready: asked of the API server."""
        text = kubectl("get", "pods", "-A", "-o", "json", check=False)
        if not text:
            return False
        for pod in json.loads(text)["items"]:
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            if conditions.get("Ready") != "True" and pod["status"]["phase"] != "Succeeded":
                return False
        return True
