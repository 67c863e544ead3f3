#!/usr/bin/env python3
"""Load that notes every request: load.py OUT FLOWS, FLOWS as JSON.

A flow: name, host, port, path, rate (requests a second), proto (http: httpgo sends the body back; echo: bytes of a TCP
connection come back), kind (new: a connection each; keep: one connection for all), mark (the body of each request).
A line of OUT: seconds-since-epoch flow outcome milliseconds. Outcomes: ok; reopened: ok, on a new connection because the
kept one of HTTP had been closed between two requests (Connection: close, or an end that any client sees before it asks);
else why it failed. The flow "-lag": this program itself ran that much late, for want of CPU.
New connections start at their time whatever the others do, so an outage costs as many requests as it lasts.
"""
import asyncio
import json
import socket
import sys
import time

LIMIT = 3.0  # seconds that a request may take
LATE = 0.25  # seconds; more is noted
NAMES = {1: "not-permitted", 101: "no-network", 104: "reset", 110: "timeout", 111: "refused", 113: "no-host", 32: "broken-pipe"}


class Cut(Exception):
    """The peer ended the connection before the answer was whole."""


def reason(error):
    """One word for what a user would read."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, Cut):
        return "cut"
    return NAMES.get(getattr(error, "errno", None), type(error).__name__)


def whole(data):
    """(status, whether the connection ends) once all of an answer is there, else None."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
    if fields.get(b"transfer-encoding") == b"chunked":
        if not body.endswith(b"0\r\n\r\n"):
            return None
    elif len(body) < int(fields.get(b"content-length", 0)):
        return None
    return head[9:12].decode(), fields.get(b"connection") == b"close"


class Flow:
    def __init__(self, spec, out):
        self.spec, self.out = spec, out
        self.loop = asyncio.get_running_loop()
        self.keep, self.http = spec["kind"] == "keep", spec.get("proto", "http") == "http"
        body = spec["mark"].encode()
        closing = "" if self.keep else "Connection: close\r\n"
        self.request = body if not self.http else (
            f"POST {spec.get('path', '/')} HTTP/1.1\r\nHost: {spec['host']}\r\n{closing}Content-Length: {len(body)}\r\n\r\n").encode() + body
        self.address = (spec["host"], spec["port"])
        self.worked = False  # the last request of a kept connection

    def note(self, started, outcome):
        self.out.write(f"{started:.3f} {self.spec['name']} {outcome} {(time.time() - started) * 1000:.1f}\n")

    async def exchange(self, connection):
        """(status, whether the connection ends)"""
        await self.loop.sock_sendall(connection, self.request)
        data = b""
        while True:
            piece = await self.loop.sock_recv(connection, 65536)
            if not piece:
                raise Cut
            data += piece
            if not self.http and len(data) >= len(self.request):
                return ("200" if data == self.request else "garbled"), False
            if self.http and (answer := whole(data)):
                return answer

    def ended(self, connection):
        """Closed while nothing was asked. Only HTTP lets a server do that."""
        try:
            return self.http and connection.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return self.http

    async def once(self, kept):
        """One request; the connection to go on with, or None."""
        started, connection = time.time(), kept
        good = "reopened" if self.keep and kept is None and self.worked else "ok"
        try:
            async with asyncio.timeout(LIMIT):
                if connection is None:
                    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                    await self.loop.sock_connect(connection, self.address)
                status, ends = await self.exchange(connection)
            self.worked = status == "200"
            self.note(started, good if self.worked else status)
            if self.keep and not ends:
                return connection
        except (OSError, ValueError, Cut) as error:
            self.worked = False
            self.note(started, reason(error))
        connection.close()
        return None

    async def run(self):
        kept, due, tasks = None, time.monotonic(), set()
        while True:
            if self.keep:
                if kept and self.ended(kept):
                    kept = kept.close()
                kept = await self.once(kept)
            else:
                task = asyncio.create_task(self.once(None))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            due = max(due + 1 / self.spec["rate"], time.monotonic() - 1)
            await asyncio.sleep(max(0, due - time.monotonic()))


async def watch_lag(out):
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.1)
        late = time.monotonic() - before - 0.1
        if late > LATE:
            out.write(f"{time.time():.3f} -lag late {late * 1000:.1f}\n")


async def main():
    with open(sys.argv[1], "a", buffering=1, encoding="ascii") as out:
        await asyncio.gather(watch_lag(out), *(Flow(spec, out).run() for spec in json.loads(sys.argv[2])))


asyncio.run(main())
