"""What weft's identity on every connection is held to: targets against figures and peers, and the lines of a ztunnel build.

The reference: ztunnel 1.31, release build, both proxies together on one core of a machine of this kind, cubic, one worker
each, best of its settings, measured 2026-11-22. It is not part of this run; the ratio to it is printed, never judged.
"""
import statistics
from typing import NamedTuple, Optional

from harness import show

PLAIN_PAIRS = ("nginx", "haproxy")  # proxies without tunnels: one TLS connection for each connection
ANY_PEER = (*PLAIN_PAIRS, "envoy")


class Against(NamedTuple):
    factor: float  # weft's figure over the best of these
    peers: tuple


class Goal(NamedTuple):
    title: str
    unit: str
    limit: Optional[float] = None
    against: tuple = ()
    reference: Optional[tuple] = None  # lowest and highest
    more_is_better: bool = False


GOALS = {
    "bulk CPU": Goal("bulk, CPU of both sides", "s per GB", 0.67, (Against(0.9, PLAIN_PAIRS), Against(0.6, ("envoy",))),
                     (0.99, 1.05)),
    "bulk rate": Goal("bulk, one connection", "Gbit/s", reference=(7.8, 8.1), more_is_better=True),
    "request CPU": Goal("keep-alive request as opaque TCP, 32 connections, CPU of both sides", "us", 20, reference=(29, 31)),
    "request rate": Goal("keep-alive requests, 32 connections", "k/s", reference=(32, 34), more_is_better=True),
    "request p50": Goal("keep-alive request, 32 connections, p50", "ms", reference=(0.85, 0.85)),
    "lone request p50": Goal("one connection, p50", "us", 120, (Against(1.0, ANY_PEER),), (180, 200)),
    "lone request CPU": Goal("one connection, CPU of both sides", "us"),
    "connection CPU": Goal("new connection over pooled tunnels (nginx, haproxy: a TLS connection each), CPU of both sides",
                           "us", 100, reference=(187, 196)),
    "connection rate": Goal("new connections", "k/s", reference=(5.0, 5.3), more_is_better=True),
    "connection p50": Goal("new connection, request, answer, p50 of 16 at a time", "ms"),
    "fresh full CPU": Goal("a fresh mTLS tunnel and its first stream, full handshake, CPU of both sides", "ms", 1.2,
                           reference=(1.45, 1.6)),
    "fresh resumed CPU": Goal("a fresh mTLS tunnel and its first stream, resumed, CPU of both sides", "ms", 0.5),
    "tunnel memory": Goal("memory of an idle tunnel with one stream, the larger side", "KiB", 40),
    "stream memory": Goal("memory of an idle stream, the larger side", "KiB", 4),
    "handshake rate": Goal("full mutual handshakes, one side of them, per second and core (weft: without sockets' cost)", "1/s",
                           None, (Against(0.8, ("haproxy",)),), more_is_better=True),
}


NO_PEER = ("no proxy", "arithmetic")


def verdicts(goal, rows, valid):
    """[(text, met)] for the figure and the peers; met is None where it cannot be said."""
    mine = statistics.median(rows["weft"])
    sign = ">=" if goal.more_is_better else "<="

    def met(bound):
        return (mine >= bound if goal.more_is_better else mine <= bound) if valid else None

    out = []
    if goal.limit is not None:
        out.append((f"{sign} {goal.limit:g} {goal.unit}", met(goal.limit)))
    for factor, names in goal.against:
        there = {n: statistics.median(rows[n]) for n in names if n in rows}
        text = f"{sign} {factor:g} x {'the best of ' if len(names) > 1 else ''}{', '.join(names)}"
        if not there:
            out.append((f"{text} (not in this run)", None))
            continue
        best = (max if goal.more_is_better else min)(there.values())
        out.append((f"{text} = {factor * best:.4g} {goal.unit}", met(factor * best)))
    return out


def judge(goal, rows, valid):
    """Prints one row of the bench; `valid`: weft's path was the one that the target speaks of."""
    others = [n for n in rows if n not in NO_PEER and not n.startswith("weft")]
    best = (max if goal.more_is_better else min)(others, key=lambda n: statistics.median(rows[n])) if others else "weft"
    rounds = {len(v) for v in rows.values()}
    result = show(goal.title, goal.unit, rows, best if len(rounds) == 1 else None)
    if "weft" not in rows:
        wanted = f"; target: {'>=' if goal.more_is_better else '<='} {goal.limit:g} {goal.unit}" if goal.limit is not None else ""
        print(f"  weft: not measured in this run{wanted}")
        return {**result, "targets": []}
    targets = verdicts(goal, rows, valid)
    for text, met in targets:
        print(f"  target: weft {text}: {'not judged' if met is None else 'met' if met else 'MISSED'}")
    mine = statistics.median(rows["weft"])
    if goal.reference:
        low, high = goal.reference
        line = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        print(f"  reference line {line} {goal.unit}: weft is {mine / high:.2f} to {mine / low:.2f} of it")
    return {**result, "targets": [{"target": text, "met": met} for text, met in targets], "reference": goal.reference}
