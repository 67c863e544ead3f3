"""What weft's processes and maps cost: memory, time on a CPU, what their reports say. Everything is read on this machine."""
import json
import os
import pathlib
import subprocess
import time

from api import kubectl

TICK = os.sysconf("SC_CLK_TCK")
PINS = "/sys/fs/bpf/weft/v2"
# name -> namespace, labels, container's program
WHERE = {"agent": ("weft-system", "app=weft-agent", "weft-agent"), "proxy": ("weft-system", "app=weft-proxy", "weft-proxy"),
         "control": ("weft-system", "app=weft-control", "weft-agent"),
         "gateway agent": ("istio-system", "istio=ingressgateway", "weft-agent"),
         "gateway proxy": ("istio-system", "istio=ingressgateway", "weft-proxy")}


def processes(uid, name):
    """Pids of the pod's processes of that name, the oldest first: an agent has children, and so have its probes."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == name and uid in (folder / "cgroup").read_text():
                found.append((int(stat(folder.name)[19]), int(folder.name)))
        except OSError:
            continue
    return [pid for _, pid in sorted(found)]


def pods(what):
    namespace, labels, _ = WHERE[what]
    items = json.loads(kubectl("get", "pods", "-n", namespace, "-l", labels, "-o", "json"))["items"]
    return {p["spec"]["nodeName"]: p for p in items if "deletionTimestamp" not in p["metadata"]}


def all_processes():
    """"agent node1" -> pid. A container's first process is the parent of its others."""
    return {f"{what} {node}": first_of(pod["metadata"]["uid"], WHERE[what][2]) for what in WHERE for node, pod in pods(what).items()}


def first_of(uid, name):
    found = processes(uid, name)
    return next((p for p in found if parent(p) not in found), None)


def stat(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def parent(pid):
    try:
        return int(stat(pid)[1])
    except OSError:
        return 0


def cpu(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK


def age(pid):
    """Seconds since it was started, to the tick."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat(pid)[19]) / TICK


def memory(pid):
    """KiB. "anon" is its own: the rest of "rss" is program text, much of it shared."""
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {key: int(lines[field].split()[0]) for key, field in (("rss", "VmRSS"), ("anon", "RssAnon"), ("peak", "VmHWM"))}


def report(pid, writer):
    """The agent's own report, or {} while there is none."""
    try:
        return json.loads(pathlib.Path(f"/proc/{pid}", "root", "run/weft-status", f"Agent.{writer}.json").read_text())
    except (OSError, ValueError):
        return {}


def maps(node):
    """name -> bytes of kernel memory, as the kernel counts them for each map."""
    script = f"for f in {PINS}/*; do [ -f $f ] && echo $(basename $f) $(bpftool -j map show pinned $f); done"
    out = subprocess.run([os.environ["WEFT_CLUSTER_TOOL"], "--name", os.environ["WEFT_CLUSTER"], "shell", node, "bash", "-c", script],
                         capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        name, _, text = line.partition(" ")
        try:
            found[name] = json.loads(text)["bytes_memlock"]
        except (ValueError, KeyError):
            continue
    return found


def until(seconds, condition, step=0.1):
    """Seconds it took, or None."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(step)
    return None
