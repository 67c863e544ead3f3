#!/usr/bin/env python3
"""What an interface carries: wire.py INTERFACE OUT NEEDLE... until SIGTERM; then OUT has, as JSON, where each needle was
seen (needle, source, destination, the port below 32768), the packets of port 15008, and packets that were lost.

A needle that lies across two segments is found too: the end of each flow's last segment is kept.
"""
import json
import signal
import socket
import struct
import sys

SOL_PACKET, PACKET_STATISTICS = 263, 6
ETH_P_ALL = 3


def segment(packet):
    """((source, destination, sport, dport), payload) of TCP and UDP over IPv4, else None."""
    if len(packet) < 34 or packet[12:14] != b"\x08\x00":
        return None
    start = 14 + (packet[14] & 15) * 4
    total, protocol = struct.unpack("!H", packet[16:18])[0], packet[23]
    if protocol not in (6, 17) or len(packet) < start + 20:
        return None
    sport, dport = struct.unpack("!HH", packet[start:start + 4])
    length = (packet[start + 12] >> 4) * 4 if protocol == 6 else 8
    end = 14 + total if total else len(packet)
    source, destination = socket.inet_ntoa(packet[26:30]), socket.inet_ntoa(packet[30:34])
    return (source, destination, sport, dport), packet[start + length:end]


def main():
    interface, out, needles = sys.argv[1], sys.argv[2], [word.encode() for word in sys.argv[3:]]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    wire.bind((interface, 0))
    wire.settimeout(0.5)
    going, tails, seen, packets, hbone = [True], {}, {}, 0, 0
    keep = max(map(len, needles)) - 1
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    open(out + ".ready", "w").close()
    while going:
        try:
            found = segment(wire.recv(1 << 17))
        except TimeoutError:
            continue
        if found is None:
            continue
        flow, payload = found
        packets += 1
        hbone += 15008 in flow[2:]
        if not payload:
            continue
        text = tails.get(flow, b"") + payload
        for needle in needles:
            if needle in text:
                port = min(flow[2:])
                key = f"{needle.decode()} {flow[0]} > {flow[1]} port {port}"
                seen[key] = seen.get(key, 0) + 1
                text = text.replace(needle, b"")
        tails[flow] = text[-keep:]
        if len(tails) > 50000:
            tails.clear()
    lost = struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    with open(out, "w", encoding="ascii") as file:
        json.dump({"seen": seen, "packets": packets, "hbone": hbone, "lost": lost}, file)


main()
