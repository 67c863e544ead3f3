#!/usr/bin/env python3
"""In a pod's network: says when connections to an address begin to end in one way. probe.py HOST PORT

A line of input, "ok" or "refused", asks; the answer is the time (CLOCK_MONOTONIC) of the first of two such ends in a row.
"""
import socket
import sys
import time

LIMIT = 60.0


def once(place):
    try:
        with socket.create_connection(place, 1):
            return "ok"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "other"


def main():
    place = (sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        wanted, first, begin = line.strip(), None, time.monotonic()
        while time.monotonic() - begin < LIMIT:
            now = time.monotonic()
            same = once(place) == wanted
            if same and first is not None:
                break
            first = now if same else None
            time.sleep(0.005)
        print(first if first is not None else "never", flush=True)


if __name__ == "__main__":
    main()
