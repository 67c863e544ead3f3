"""A sandbox for a bench: its pods, programs of this machine inside them, its proxies. Gone when the run ends, however it ends.

    client (node1) ---- node1 ---- fabric ---- node2 ---- server (node2)
"""
import atexit
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from harness import BUILD, run

BIN = BUILD / "bin"


class Pod:
    """Where a pod's programs run: network namespace and cgroup; the files are this machine's."""

    def __init__(self, sandbox, namespace, name):
        self.sandbox, self.namespace, self.name = sandbox, namespace, name
        self.node, self.ip, uid, self.netns, container = sandbox.ctl(
            "get", "pods", name, "-n", namespace, "-o",
            r"jsonpath={.spec.nodeName} {.status.podIP} {.metadata.uid} {.metadata.annotations.weft\.mesh/netns} "
            "{.spec.containers[0].name}").split()
        root = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
        self.cgroup = f"{root}/weft-sandbox-{sandbox.name}/{self.node}/kubepods/pod{uid}/{container}/cgroup.procs"

    def words(self, words, cpu, as_application):
        enter = ["nsenter", f"--net={self.netns}", "taskset", "-c", str(cpu), *map(str, words)]
        if not as_application:
            return enter  # a proxy beside the application: the pod's network, nobody's hooks
        return ["bash", "-c", f'echo $$ > {self.cgroup} && exec "$@"', "in-pod", *enter]

    def run(self, *words, cpu, seconds=60):
        done = subprocess.run(self.words(words, cpu, True), capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            sys.exit(f"in pod {self.namespace}/{self.name}: {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *words, cpu, as_application=True, log=None, **options):
        out = open(log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen(self.words(words, cpu, as_application), stderr=out, start_new_session=True,
                                   **{"stdout": out, "stdin": subprocess.DEVNULL, **options})
        self.sandbox.processes.append(process)
        return process

    def sysctl(self, name, value=None):
        words = ["sysctl", "-n", name] if value is None else ["sysctl", "-qw", f"{name}={value}"]
        return run("nsenter", f"--net={self.netns}", *words, check=False).stdout.strip()


class Sandbox:
    """`images`: more image names and their commands."""

    def __init__(self, nodes, images):
        self.name, self.processes = f"bench-{os.getpid()}", []
        atexit.register(self.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
        more = [word for name, command in images.items() for word in ("--image", f"{name}={command}")]
        self.ctl("up", "--nodes", nodes, *more)

    def ctl(self, *words, check=True):
        done = subprocess.run([BIN / "weftctl", "sandbox", "--name", self.name, *map(str, words)], capture_output=True, text=True)
        if check and done.returncode:
            sys.exit(f"weftctl sandbox {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def apply(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            self.ctl("apply", "-f", file.name)

    def stop(self, process):
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(5)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in list(self.processes):
            self.stop(process)
        self.ctl("down", check=False)

    def pids(self, component, node):
        """Processes of one component of the node itself, told by their cgroup; a gateway's have a namespace of their own."""
        found, network = [], os.stat(f"/run/weft/sandbox/{self.name}/netns/{node}").st_ino
        for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
            try:
                if f"weft-sandbox-{self.name}/{node}/" not in path.read_text():
                    continue
                program, its = os.readlink(path.parent / "exe"), os.stat(path.parent / "ns" / "net").st_ino
            except OSError:
                continue  # it has ended meanwhile
            # A rebuilt program's link ends in " (deleted)".
            if its == network and pathlib.Path(program.split(" ")[0]).name == component:
                found.append(int(path.parent.name))
        return found

    def metrics(self, node):
        """Of the node's proxy: [(name, {label: value}, number)]."""
        pid = self.pids("weft-proxy", node)[0]
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        address = words[words.index("--metrics-address") + 1]
        text = run("nsenter", f"--net=/proc/{pid}/ns/net", "curl", "-sS", "-m", "10", f"http://{address}/metrics").stdout
        rows = []
        for line in text.splitlines():
            match = re.match(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and not line.startswith("#"):
                rows.append((match[1], dict(re.findall(r'(\w+)="([^"]*)"', match[2] or "")), float(match[3])))
        return rows

    def counter(self, node, name):
        return sum(number for row, _, number in self.metrics(node) if row == name)


def wait_until(what, ready, seconds=30):
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            sys.exit(f"gave up after {seconds} s waiting for: {what}")
        time.sleep(0.2)


def json_line(text):
    return json.loads(text.splitlines()[-1])
