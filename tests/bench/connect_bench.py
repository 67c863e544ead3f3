#!/usr/bin/env python3
"""Pod to pod on one node: straight, through weft's hooks, through iptables DNAT, through kube-proxy's nftables tables.

One pinned thread plays both ends (connect_paths.cc), so no wake-up hides the path. Two clocks: what the wall says, and
the CPU time of that thread, which a busy machine disturbs less. Peers run in turn, ratios are taken round by round.
"""
import json
import os
import subprocess
import sys

from harness import ROOT, show, write_json

ROUNDS, CPU = 3 if "--quick" in sys.argv else 9, 1
TARGETS = {
    "connect": "weft <= 1.10 of no mesh, with 1,000 policies of the called pod too; faster than iptables DNAT and than nftables",
    "round trip": "weft <= 1.02 of no mesh, with 1,000 policies too; faster than iptables DNAT",
    "bulk": "weft <= 1.02 of no mesh (throughput >= 0.98), with 1,000 policies too; faster than iptables DNAT",
    "table, ten services called": "10000 <= 1.05 of 10",
    "table, all services called": None,
}
UNITS = {"connect": "us for connect + accept + close", "round trip": "us for 64 bytes and back",
         "bulk": "us for 64 KiB"}


def main():
    program = ROOT / "build" / os.environ.get("WEFT_BENCH_BUILD", "release") / "bench" / "bench_connect"
    if not program.exists():
        sys.exit(f"{program} is missing; scripts/bench builds it")
    load = os.getloadavg()
    print(f"machine: kernel {os.uname().release}, {os.cpu_count()} CPUs, load {load[0]:.2f} {load[1]:.2f} {load[2]:.2f}, "
          f"pinned to CPU {CPU}, {ROUNDS} rounds in turn, congestion control of the sockets: cubic")
    lines = subprocess.run([program, str(ROUNDS), str(CPU)], check=True, capture_output=True, text=True).stdout
    values = {}
    for line in map(json.loads, lines.splitlines()):
        for clock in ("cpu", "wall"):
            values.setdefault((line["bench"], clock), {}).setdefault(line["peer"], []).append(line[clock])
    results = []
    for (bench, clock), rows in values.items():
        unit = UNITS.get(bench, UNITS["connect"])
        base = "10" if bench.startswith("table") else "no mesh"
        results.append(show(f"{bench}, {clock} time", unit, rows, base, TARGETS[bench]))
    write_json("connect", {"kernel": os.uname().release, "cpus": os.cpu_count(), "load": load, "rounds": ROUNDS,
                          "congestion_control": "cubic", "results": results})


if __name__ == "__main__":
    main()
