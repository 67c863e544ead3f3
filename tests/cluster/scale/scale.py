#!/usr/bin/env python3
"""What weft costs in a large cluster. Run by `scripts/cluster scale`, on a cluster with weft installed.

Makes pods that nobody runs (world.py), Services and policies, and prints: memory of each of weft's processes and of the BPF
maps, without and with them; a node agent's start with all of it there; the time on a CPU and the time until a change is
obeyed, at rest and while pods come and go. Removes all of it. Judges nothing.
"""
import argparse
import random
import statistics
import sys
import threading
import time

from api import Api, kubectl
from meter import age, all_processes, cpu, first_of, maps, memory, pods, report, until
from obey import SPACE, Obey
from world import REPLICAS, World


def show_memory(title, shown):
    print(f"\n{title:<26} {'RSS MiB':>9} {'anon MiB':>9} {'peak MiB':>9}", flush=True)
    for name, pid in sorted(shown.items()):
        if pid:
            m = memory(pid)
            print(f"  {name:<24} {m['rss'] / 1024:>9.1f} {m['anon'] / 1024:>9.1f} {m['peak'] / 1024:>9.1f}", flush=True)


def show_maps(title):
    found = maps("node1")
    most = ", ".join(f"{n} {b / 1024:.0f}" for n, b in sorted(found.items(), key=lambda e: -e[1])[:5])
    print(f"  {title}: BPF maps of node1 {sum(found.values()) / 1048576:.1f} MiB of kernel memory (KiB: {most})", flush=True)


def wait_quiet(limit=120):
    """Until the agents build nothing new for 4 s."""
    state = {"at": time.monotonic(), "version": None}

    def quiet():
        version = [report(p, n).get("snapshotVersion") for n, p in agents().items()]
        if version != state["version"]:
            state.update(at=time.monotonic(), version=version)
        return time.monotonic() - state["at"] > 4
    if until(limit, quiet, 0.5) is None:
        print("  (not quiet yet)", flush=True)


def agents():
    return {node: first_of(pod["metadata"]["uid"], "weft-agent") for node, pod in pods("agent").items()}


def restart_agent(node):
    """One start of the agent of a node, all objects being there."""
    old = pods("agent")[node]["metadata"]
    kubectl("delete", "pod", "-n", "weft-system", old["name"], "--wait=false")
    found, ready = {}, {}

    def started():
        pod = pods("agent").get(node)
        if pod and pod["metadata"]["uid"] != old["uid"]:
            found["pid"] = first_of(pod["metadata"]["uid"], "weft-agent")
        return found.get("pid")

    def is_ready():
        ready.update(report(found["pid"], node))
        return ready.get("ready")
    if until(60, started, 0.05) is None or until(60, is_ready, 0.02) is None:
        sys.exit(f"scale: the agent of {node} does not become ready: {ready.get('waitingFor')}")
    pid = found["pid"]
    took, spent = age(pid), cpu(pid)
    condition = until(30, lambda: is_pod_ready(pods("agent")[node]), 0.1)
    kinds = ready.get("counters", {}).get("watch", {}).get("kinds", [])
    return {"ready": took, "condition": age(pid) if condition is not None else None, "cpu": spent, "kinds": kinds, **memory(pid)}


def is_pod_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def restarts(count):
    runs = [restart_agent("node1") for _ in range(count)]
    middle = {k: statistics.median(r[k] for r in runs) for k in ("ready", "condition", "cpu", "rss", "anon", "peak")}
    spread = f"{min(r['ready'] for r in runs):.2f} to {max(r['ready'] for r in runs):.2f}"
    print(f"\nstart of node1's agent, {count} times, median: ready {middle['ready']:.2f} s after its start ({spread}), "
          f"as the pod's condition says {middle['condition']:.1f} s; {middle['cpu']:.2f} s on a CPU; RSS {middle['rss'] / 1024:.1f} MiB, "
          f"anon {middle['anon'] / 1024:.1f}, peak {middle['peak'] / 1024:.1f}")
    for kind in runs[-1]["kinds"]:
        if kind.get("bytes"):
            print(f"  {kind['resource']:<48} {kind['objects']:>6} objects, {kind['bytes'] / 1024:>8.0f} KiB, list {kind.get('listMs', 0):>5} ms")


def percent(before, after, seconds):
    rows = {n: 100 * (after[n] - before[n]) / seconds for n in before if n in after}
    return ", ".join(f"{n} {v:.1f} %" for n, v in sorted(rows.items()) if v >= 0.05) or "nothing to speak of"


def spent():
    return {n: cpu(p) for n, p in all_processes().items() if p}


def describe(times):
    good = sorted(t * 1000 for t in times if t is not None)
    if not good:
        return "never"
    worst = f"{len(times) - len(good)} never; " if len(good) < len(times) else ""
    return f"{worst}median {statistics.median(good):.0f} ms, {good[0]:.0f} to {good[-1]:.0f} ({len(good)} changes)"


def churn(world, rate, seconds, stop, counted):
    """`rate` changes of pods a second: one that is replaced is three (gone, made, running)."""
    random.seed(1)
    begin, done, newest = time.monotonic(), 0, {}
    while time.monotonic() - begin < seconds and not stop.is_set():
        batch = []
        while done < (time.monotonic() - begin) * rate / 3 and len(batch) < 16:
            app, number = random.randrange(world.services), random.randrange(REPLICAS)
            old, new = newest.get((app, number), number), REPLICAS + done
            newest[(app, number)] = new
            batch.append(lambda app=app, old=old, new=new: world.replace_pod(app, old, new))
            done += 1
        world.api.all(batch)
        counted["changes"] = done * 3
        time.sleep(0.02)
    counted["seconds"] = time.monotonic() - begin


def under_churn(world, obey, rate, seconds):
    stop, counted, times = threading.Event(), {}, []
    thread = threading.Thread(target=churn, args=(world, rate, seconds, stop, counted))
    before, begin = spent(), time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            times += obey.times(1)
            time.sleep(random.uniform(0.1, 0.6))
    finally:
        stop.set()
        thread.join()
    took = time.monotonic() - begin
    print(f"\n{counted['changes'] / counted['seconds']:.0f} changes of pods a second for {counted['seconds']:.0f} s, of a core: "
          f"{percent(before, spent(), took)}")
    print(f"  a changed endpoint meanwhile: {describe(times)}", flush=True)


def measure(options, world, obey):
    show_memory("without the objects", all_processes())
    show_maps("without")
    print(f"  a changed endpoint: {describe(obey.times(10))}", flush=True)
    begin, before = time.monotonic(), spent()
    world.make()
    print(f"\nmade {world.services * REPLICAS} pods and {world.services} Services in {time.monotonic() - begin:.0f} s", flush=True)
    if until(300, lambda: world.slices() >= world.services, 1) is None:
        sys.exit("scale: the slices are not complete after 300 s")
    wait_quiet()
    took = time.monotonic() - begin
    print(f"  told after {took:.0f} s, of a core meanwhile: {percent(before, spent(), took)}")
    show_memory("with the objects", all_processes())
    show_maps("with")
    restarts(options.restarts)
    wait_quiet()
    before, begin = spent(), time.monotonic()
    time.sleep(10)
    print(f"\nat rest, of a core: {percent(before, spent(), time.monotonic() - begin)}")
    print(f"  a changed endpoint: {describe(obey.times(10))}", flush=True)
    under_churn(world, obey, options.churn, options.seconds)
    wait_quiet()
    show_memory("after that", all_processes())


def remove(world):
    world.remove()
    world.api.call("DELETE", f"/api/v1/namespaces/{SPACE}", absent_ok=True)
    if until(180, lambda: not world.left(), 1) is None:
        print(f"scale: namespaces are left: {world.left()}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/cluster scale")
    parser.add_argument("--services", type=int, default=1000, help=f"each with {REPLICAS} pods")
    parser.add_argument("--istio", type=int, default=100, help="Services with VirtualService, DestinationRule, AuthorizationPolicy")
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--churn", type=int, default=50, help="changes of pods a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--keep", action="store_true", help="leave the objects there")
    options = parser.parse_args()
    api = Api()
    world, obey = World(api, options.services, options.istio), None
    try:
        obey = Obey(api)
        measure(options, world, obey)
    finally:
        if obey:
            obey.close()
        if not options.keep:
            remove(world)
            wait_quiet()
            show_memory("after their removal", all_processes())
        api.close()


if __name__ == "__main__":
    main()
