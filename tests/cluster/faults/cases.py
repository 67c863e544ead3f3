"""The faults. Each takes the Lab, makes its fault and enters the lines for it."""
import json
import os
import signal
import time

from lab import cluster, kubectl, pods, processes, until

AGENT = ("weft-system", "app=weft-agent", "weft-agent")
PROXY = ("weft-system", "app=weft-proxy", "weft-proxy")


def quiet(lab):
    """No fault: what the other lines are to be held against."""
    lab.fault("none", lambda: None, rest=8)


def kill_of(what, node):
    namespace, labels, process = what

    def case(lab):
        lab.fault(f"kill -9 {process} {node}", lambda: lab.kill(namespace, labels, node, process), lab.weft_is_well)
    return case


def control(lab):
    for node in sorted(pods("weft-system", "app=weft-control")):
        lab.fault(f"kill -9 control on {node}", lambda n=node: lab.kill("weft-system", "app=weft-control", n, "weft-agent"),
                  lab.weft_is_well)


def gateway(process):
    def case(lab):
        node = next(iter(pods("istio-system", "istio=ingressgateway")))
        lab.fault(f"kill -9 gateway's {process}", lambda: lab.kill("istio-system", "istio=ingressgateway", node, process),
                  lab.weft_is_well)
    return case


def daemon_of(place, daemon):
    def case(lab):
        def well():
            return f"({daemon} is down)" not in cluster("status", check=False) and lab.weft_is_well()
        lab.fault(f"kill -9 {daemon} {place}", lambda: cluster("kill", place, daemon) and None, well)
    return case


def rollout_of(namespace, kind, name):
    def case(lab):
        def act():
            kubectl("rollout", "restart", "-n", namespace, f"{kind}/{name}")
            kubectl("rollout", "status", "-n", namespace, f"{kind}/{name}", "--timeout=110s", check=False)
        lab.fault(f"rollout restart {name}", act, lab.weft_is_well)
    return case


def api_away(lab, seconds=65):
    """The API server stopped under load; meanwhile a pod's sandbox ends, and kubelet makes it anew from what it knows."""
    def act():
        cluster("stop", "control", "kube-apiserver")
        time.sleep(5)
        started = time.time()
        old = processes(victim, "pause")
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        again = until(40, lambda: [p for p in processes(victim, "sleep") if p not in before])
        time.sleep(max(0, seconds - (time.time() - started) - 5))
        cluster("start", "control", "kube-apiserver")
        return "new sandbox without API server: " + (f"{again:.1f} s" if again is not None else "not within 40 s")
    victim = pods("dev", "app=victim")["node1"]
    before = processes(victim, "sleep")
    lab.fault(f"API server away {seconds} s", act, lab.weft_is_well)
    change(lab)


def change(lab):
    """How long until the nodes obey a change: a stranger is let in."""
    def mode(word):
        kubectl("patch", "peerauthentication", "-n", "dev", "default", "--type=merge", "-p", json.dumps({"spec": {"mtls": {"mode": word}}}))

    def answered():
        notes = lab.load.notes(begin, time.time())
        return any(o == "ok" for f, n in notes.items() if f.startswith("stranger") for _, o, _ in n)
    time.sleep(1)
    begin = time.time()
    mode("PERMISSIVE")
    took = until(30, answered)
    mode("STRICT")
    print(f"    a change (STRICT -> PERMISSIVE) is obeyed after {took if took is None else round(took, 1)} s", flush=True)
    time.sleep(3)


def power(lab):
    """node2 loses its power and boots. What ran there ends; while its pods come back, strangers ask every address there."""
    old = pods("dev", "app=client")["node2"]
    stale = old["metadata"].get("annotations", {})
    for name in (old["metadata"]["name"], pods("plain", "app=stranger")["node2"]["metadata"]["name"]):
        lab.load.stop(name)
    stranger, here = pods("plain", "app=stranger")["node1"], lab.address("node1")
    lab.load.stop(stranger["metadata"]["name"])
    lab.load.start_in(stranger, [{"name": f"scan-{n}", "host": f"10.244.2.{n}", "port": 8888, "rate": 2, "kind": "new",
                                  "mark": "scan"} for n in range(2, 42)])
    client = pods("dev", "app=client")["node1"]
    lab.load.stop(client["metadata"]["name"])
    lab.start_load_of_one(client, here)
    times = {}

    def act():
        cluster("power-cut", "node2")
        time.sleep(8)
        start = time.time()
        cluster("boot", "node2")
        times["node"] = time.time() - start
        times["captured"] = until(90, lambda: captured("node2", stale), 0.3)
    lab.fault("power cut and boot node2", act, lab.weft_is_well, limit=120)
    print(f"    node Ready {times['node']:.1f} s after power; its pods captured (annotation of this boot) "
          f"{times['captured'] if times['captured'] is None else round(times['captured'], 1)} s later", flush=True)
    begin = time.time()
    lab.load.stop(stranger["metadata"]["name"])
    lab.load.stop(client["metadata"]["name"])
    lab.start_load()
    time.sleep(9)
    lab.enter("after that boot, all flows", begin + 1, time.time() - 3.2, [])


def captured(node, stale):
    found = pods("dev", "app=client").get(node)
    now = found["metadata"].get("annotations", {}) if found else {}
    return now.get("ambient.istio.io/redirection") == "enabled" and now != stale


ALL = {
    "quiet": quiet,
    "agent1": kill_of(AGENT, "node1"), "agent2": kill_of(AGENT, "node2"),
    "proxy1": kill_of(PROXY, "node1"), "proxy2": kill_of(PROXY, "node2"),
    "control": control,
    "gateway-proxy": gateway("weft-proxy"), "gateway-agent": gateway("weft-agent"),
    "kubelet": daemon_of("node1", "kubelet"), "containerd": daemon_of("node1", "containerd"),
    "kube-proxy": daemon_of("node1", "kube-proxy"),
    "apiserver": daemon_of("control", "kube-apiserver"), "etcd": daemon_of("control", "etcd"),
    "roll-agent": rollout_of("weft-system", "daemonset", "weft-agent"),
    "roll-proxy": rollout_of("weft-system", "daemonset", "weft-proxy"),
    "roll-gateway": rollout_of("istio-system", "deployment", "istio-ingressgateway"),
    "change": change, "api-away": api_away,
    "power": power,
}
