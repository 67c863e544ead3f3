"""What every bench shares: a private network namespace, pinning, CPU accounting, rounds in turn, ratios.

Peers run in turn in one run, and the ratio is taken round by round, so that a slow minute of a shared machine hits all.
Nothing here judges: it prints and writes JSON; targets are printed beside the figure.
"""
import atexit
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / os.environ.get("WEFT_BENCH_BUILD", "release")
TICK = os.sysconf("SC_CLK_TCK")


def run(*words, check=True, **options):
    return subprocess.run(words, check=check, capture_output=True, text=True, **options)


class Namespace:
    """A network namespace of this run, with one address besides loopback; gone when the run ends."""

    def __init__(self, name, addresses=("10.99.0.1/32",)):
        self.name = f"weft-bench-{name}-{os.getpid()}"
        self.processes = []
        run("ip", "netns", "add", self.name)
        atexit.register(self.close)
        self.run("ip", "link", "set", "lo", "up")
        for address in addresses:
            self.run("ip", "address", "add", address, "dev", "lo")
        # The machine's default may be bbr, whose pacing hides everything else. A namespace may only choose what the
        # machine allows to everybody; reno always is.
        for control in ("cubic", "reno"):
            if self.run("sysctl", "-qw", f"net.ipv4.tcp_congestion_control={control}", check=False).returncode == 0:
                break
        self.congestion_control = self.run("sysctl", "-n", "net.ipv4.tcp_congestion_control").stdout.strip()

    def prefix(self, cpu=None):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        return ["ip", "netns", "exec", self.name, *pin]

    def run(self, *words, cpu=None, check=True):
        return run(*self.prefix(cpu), *words, check=check)

    def start(self, *words, cpu=None, log=None):
        out = open(log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen([*self.prefix(cpu), *words], stdout=out, stderr=out, start_new_session=True)
        self.processes.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in list(self.processes):
            self.stop(process)
        run("ip", "netns", "delete", self.name, check=False)


def descendants(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += descendants(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of a process and all its descendants, finished threads included."""
    total = 0.0
    for each in descendants(pid):
        try:
            fields = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICK
        except FileNotFoundError:
            pass
    return total


def cpu_time(pids):
    """Seconds on a CPU of processes and their descendants, to the nanosecond. What finished threads used is not in it,
    so it is for programs whose threads live as long as they do."""
    total = 0
    for pid in pids:
        for each in descendants(pid):
            for task in pathlib.Path(f"/proc/{each}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except OSError:
                    pass  # the thread has ended meanwhile
    return total / 1e9


def rss_kib(pid):
    total = 0
    for each in descendants(pid):
        for line in pathlib.Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def allow_cubic():
    """Namespaces may only choose what the machine allows to everybody; for the time of this run that includes cubic."""
    name = "net.ipv4.tcp_allowed_congestion_control"
    before = run("sysctl", "-n", name, check=False).stdout.strip()
    if not before or "cubic" in before.split():
        return
    if run("sysctl", "-qw", f"{name}={before} cubic", check=False).returncode == 0:
        atexit.register(run, "sysctl", "-qw", f"{name}={before}", check=False)


def wait_port(namespace, address, port, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if namespace.run("bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}", check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {address}:{port} after {seconds} s")


def scratch():
    path = tempfile.mkdtemp(prefix="weft-bench-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    os.chmod(path, 0o755)
    return pathlib.Path(path)


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def show(title, unit, rows, base, target=None):
    """rows: name -> list of values, one a round. Ratios are taken to `base`, round by round."""
    print(f"\n{title} [{unit}]")
    width = max(14, *(len(name) + 2 for name in rows)) if rows else 14
    print(f"  {'':<{width}}{'min':>10}{'median':>10}{'max':>10}   {'ratio to ' + base if base else ''}")
    result = {}
    for name, values in rows.items():
        s = spread(values)
        ratios = spread([v / b for v, b in zip(values, rows[base])]) if base in rows else None
        ratio = f"{ratios['median']:.3f} ({ratios['min']:.3f} to {ratios['max']:.3f})" if ratios else "-"
        print(f"  {name:<{width}}{s['min']:>10.2f}{s['median']:>10.2f}{s['max']:>10.2f}   {ratio}")
        result[name] = {**s, "ratio": ratios}
    if target:
        print(f"  target: {target}")
    return {"title": title, "unit": unit, "base": base, "target": target, "rows": result}


def machine_facts(control):
    """`control`: congestion control, as text or by place."""
    load = os.getloadavg()
    words = control if isinstance(control, str) else ", ".join(sorted(set(control.values())))
    print(f"machine: kernel {os.uname().release}, {os.cpu_count()} CPUs, load {load[0]:.2f} {load[1]:.2f} {load[2]:.2f}, "
          f"congestion control of the namespaces: {words}")
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "load": load, "congestion_control": control}


def machine(namespace):
    return machine_facts(namespace.congestion_control)


def write_json(name, results):
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        sys.exit(f"missing: {' '.join(missing)}; run scripts/bench, which installs them")
