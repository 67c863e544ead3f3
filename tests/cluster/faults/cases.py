"""The faults. Each takes the Lab, makes its fault and enters the lines for it."""
import json
import os
import signal
import subprocess
import time

from lab import CLUSTER, TOOL, cluster, kubectl, pods, processes, until

AGENT = ("weft-system", "app=weft-agent", "weft-agent")
GATEWAY = ("istio-system", "istio=ingressgateway")
PROXY = ("weft-system", "app=weft-proxy", "weft-proxy")


def quiet(lab):
    """No fault: what the other lines are to be held against."""
    lab.fault("none", lambda: None, rest=8)


def kill_of(what, node, called=None):
    namespace, labels, process = what

    def case(lab):
        lab.fault(f"kill -9 {called or process} {node}", lambda: lab.kill(namespace, labels, node, process), lab.weft_is_well)
    return case


def control(lab):
    for node in sorted(pods("weft-system", "app=weft-control")):
        lab.fault(f"kill -9 control on {node}", lambda n=node: lab.kill("weft-system", "app=weft-control", n, "weft-agent"),
                  lab.weft_is_well)


def gateway(process):
    def case(lab):
        node = next(iter(pods(*GATEWAY)))
        lab.fault(f"kill -9 gateway's {process}", lambda: lab.kill(*GATEWAY, node, process), lab.weft_is_well)
    return case


def gateway_pod(how):
    """The only replica goes: until another serves there is no gateway. For how long?"""
    def act():
        node, pod = next(iter(pods(*GATEWAY).items()))
        if how == "delete":
            kubectl("delete", "pod", "-n", GATEWAY[0], pod["metadata"]["name"], "--force", "--grace-period=0", "--wait=false", check=False)
        else:
            for pid in processes(pod):
                os.kill(pid, signal.SIGKILL)
        return f"was on {node}"

    def case(lab):
        lab.fault(f"gateway pod: {'kubectl delete --force' if how == 'delete' else 'kill -9 of all its processes'}", act,
                  lambda: pods(*GATEWAY) and lab.weft_is_well(), rest=max(lab.rest, 8))
    return case


def conflist(lab, seconds=10):
    """weft-cni's entry is overwritten again and again on node1, in place and by renaming, while pods start there. Each pod's
    first act is a call to a strict server, which lets in only what the mesh has captured."""
    script = f"""
        file=$(ls /etc/cni/net.d/*.conflist); end=$((SECONDS + {seconds})); turn=0
        while [ $SECONDS -lt $end ]; do
          turn=$((turn + 1))
          if [ $((turn % 2)) = 0 ]; then cp /mnt/cni.conflist "$file"
          else cp /mnt/cni.conflist "$file.new"; mv "$file.new" "$file"; fi
          begin=$(date +%s%N)
          until grep -q weft-cni "$file"; do sleep 0.005; [ $(( $(date +%s%N) - begin )) -lt 30000000000 ] || break; done
          echo $(( ($(date +%s%N) - begin) / 1000000 ))
          sleep 0.4
        done"""
    server = lab.address("node2")
    names = [f"newcomer-{n}" for n in range(8)]
    told = {}

    def start(name):
        spec = {"nodeName": "node1", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [
            {"name": "first", "image": "weft.local/tools:dev",
             "command": ["sh", "-c", f"curl -s -f -m 10 -o /dev/null http://{server}:8888/; echo $? >/dev/termination-log"]}]}
        kubectl("create", "-f", "-", feed=json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": spec,
                                                      "metadata": {"name": name, "namespace": "dev", "labels": {"app": "newcomer"}}}))

    def ended():
        items = json.loads(kubectl("get", "pods", "-n", "dev", "-l", "app=newcomer", "-o", "json"))["items"]
        for pod in items:
            for status in pod["status"].get("containerStatuses", []):
                if now := status["state"].get("terminated"):
                    told[pod["metadata"]["name"]] = now.get("message", "").strip() or f"exit {now['exitCode']}"
        return len(told) == len(names)

    def act():
        child = subprocess.Popen([TOOL, "--name", CLUSTER, "shell", "node1", "bash", "-c", script], stdout=subprocess.PIPE, text=True)
        for name in names:
            start(name)
            time.sleep(seconds / len(names) * 0.7)
        took = [int(word) for word in child.communicate(timeout=120)[0].split()]
        late = until(60, ended, 0.5) is None
        wrong = {name: code for name, code in told.items() if code != "0"}
        # What a runtime begins between the two writes goes by the other's file: such a pod is only found soon after.
        lab.sick |= late or len(wrong) > 1 or not took or max(took) >= 10000
        return (f"overwritten {len(took)} times, repaired within {max(took, default=-1)} ms; {len(told)} of {len(names)} new pods started, "
                f"first call not served: {wrong or 'none'} (curl's exit)")
    lab.fault("CNI conflist overwritten on node1", act, lab.weft_is_well)
    kubectl("delete", "pods", "-n", "dev", "-l", "app=newcomer", "--wait=false")


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


def api_away(lab, seconds=180):
    """The API server stopped under load; meanwhile a pod's sandbox ends, and kubelet makes it anew from what it knows. A
    change is made the moment the server answers again, and then a second one, when all is quiet."""
    def act():
        started = time.time()
        cluster("stop", "control", "kube-apiserver")
        time.sleep(5)
        for pid in processes(victim, "pause"):
            os.kill(pid, signal.SIGKILL)
        again = until(40, lambda: [p for p in processes(victim, "sleep") if p not in before])
        time.sleep(max(0, seconds - (time.time() - started)))
        cluster("start", "control", "kube-apiserver")
        back = until(60, lambda: set_mode("PERMISSIVE", check=False))
        obeyed = until_obeyed(lab)
        set_mode("STRICT")
        return (f"new sandbox without API server: {seconds_of(again)}; the server took {seconds_of(back)} to take a change, the nodes "
                f"obeyed {seconds_of(obeyed)} later")
    victim = pods("dev", "app=victim")["node1"]
    before = processes(victim, "sleep")
    lab.fault(f"API server away {seconds} s", act, lab.weft_is_well)
    change(lab)


def seconds_of(took):
    return "never" if took is None else f"{took:.1f} s"


def set_mode(word, check=True):
    return "patched" in kubectl("patch", "peerauthentication", "-n", "dev", "default", "--type=merge", "-p",
                                json.dumps({"spec": {"mtls": {"mode": word}}}), check=check)


def until_obeyed(lab):
    """Seconds until both nodes let strangers in. They ask 6 times a second."""
    begin = time.time()

    def answered():
        notes = lab.load.notes(begin, time.time())
        return {f.split("-")[1] for f, n in notes.items() if f.startswith("stranger") for _, o, _ in n if o == "ok"} >= {"node1", "node2"}
    took = until(60, answered)
    lab.let_in.append((begin - 1, time.time() + 3))  # until STRICT is obeyed again
    return took


def change(lab):
    """How long until the nodes obey a change: a stranger is let in."""
    time.sleep(1)
    set_mode("PERMISSIVE")
    took = until_obeyed(lab)
    set_mode("STRICT")
    print(f"a change (STRICT -> PERMISSIVE), all well: obeyed by both nodes after {seconds_of(took)}", flush=True)
    time.sleep(4)


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
    print(f"node2 Ready {times['node']:.1f} s after power; its pods captured (annotation of this boot) "
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
    "proxy1-container": kill_of((*PROXY[:2], "weft-supervise"), "node1", "container of weft-proxy"),
    "control": control,
    "gateway-agent": gateway("weft-agent"), "gateway-proxy": gateway("weft-proxy"),
    "gateway-delete": gateway_pod("delete"), "gateway-kill": gateway_pod("kill"),
    "kubelet": daemon_of("node1", "kubelet"), "containerd": daemon_of("node1", "containerd"),
    "kube-proxy": daemon_of("node1", "kube-proxy"),
    "apiserver": daemon_of("control", "kube-apiserver"), "etcd": daemon_of("control", "etcd"),
    "conflist": conflist,
    "roll-agent": rollout_of("weft-system", "daemonset", "weft-agent"),
    "roll-proxy": rollout_of("weft-system", "daemonset", "weft-proxy"),
    "roll-gateway": rollout_of("istio-system", "deployment", "istio-ingressgateway"),
    "change": change, "api-away": api_away,
    "power": power,
}
# What CI runs, and of these the ones that may not cost a single request.
SHORT = ("quiet", "agent1", "agent2", "control", "kubelet", "apiserver", "conflist", "gateway-agent", "roll-gateway", "proxy1")
FREE = {"quiet", "agent1", "agent2", "control", "kubelet", "apiserver", "conflist", "gateway-agent", "roll-gateway"}
