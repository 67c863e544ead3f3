"""Handshakes by themselves: what the arithmetic alone allows, HAProxy as the server, weft's room of TLS in one process."""
import re
import subprocess
import sys

from harness import BUILD, cpu_time, run
from sandbox import wait_until


def arithmetic_limit(seconds):
    """Full mutual handshakes a second that one core could serve as one side if nothing but P-256 and X25519 cost time: one
    signature, two verifications (the peer's certificate, its proof), one X25519 key and one agreement."""
    out = run("openssl", "speed", "-seconds", str(seconds), "-mr", "ecdsap256", "ecdhx25519").stdout
    sign, verify = map(float, re.search(r"\+F4:\d+:256:([\d.]+):([\d.]+)", out).groups())
    agree = float(re.search(r"\+F5:\d+:253:([\d.]+)", out).group(1))
    return 1 / (1 / sign + 2 / verify + 2 / agree)


def haproxy_rate(peers, client, load_cpu, seconds):
    """Full handshakes a second of HAProxy's CPU time."""
    process, port = peers.haproxy_handshakes()
    words = ["openssl", "s_time", "-connect", f"{peers.server.ip}:{port}", "-new", "-tls1_3", "-cert", peers.folder / "client.pem",
             "-key", peers.folder / "client.key", "-CAfile", peers.folder / "ca.pem", "-time"]

    def served(limit):
        done = subprocess.run(client.words([*words, limit], load_cpu, True), capture_output=True, text=True, timeout=limit + 20)
        found = re.search(r"(\d+) connections in \d+ real seconds", done.stdout)
        return int(found.group(1)) if found else 0

    wait_until("HAProxy to shake hands", lambda: served(1) > 0)
    before = cpu_time([process.pid])
    count = served(seconds)
    spent = cpu_time([process.pid]) - before
    peers.server.sandbox.stop(process)
    return count / spent


def weft_both_sides(cpu):
    """{"full": us, "resumed": us}: CPU of both sides of a handshake in one thread, as bench_tls prints it."""
    program = BUILD / "bench" / "bench_tls"
    if not program.exists():
        print(f"  {program.name} is not built: weft's handshakes are not measured")
        return {}
    done = subprocess.run(["taskset", "-c", str(cpu), program], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program.name}: {done.stdout}{done.stderr}")
    print("\nweft's room of TLS, client and server in one thread:\n  " + "\n  ".join(done.stdout.splitlines()))
    return {kind: float(us) for kind, us in re.findall(r"^handshake (full|resumed) +(\d+) us CPU, both sides", done.stdout, re.M)}
