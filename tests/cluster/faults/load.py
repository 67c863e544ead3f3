#!/usr/bin/env python3
"""HTTP load that notes every request: load.py OUT FLOWS, FLOWS as JSON.

A flow: name, url host, port, path, rate (requests a second), kind (new: a connection each; keep: one connection for all),
mark (the body of each request; httpgo sends it back). A line of OUT: seconds-since-epoch flow outcome milliseconds.
New connections start at their time whatever the others do, so an outage costs as many requests as it lasts.
"""
import asyncio
import json
import sys
import time

LIMIT = 3.0  # seconds that a request may take


def reason(error):
    """One word for what a user would read."""
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "timeout"
    if isinstance(error, asyncio.IncompleteReadError):
        return "cut"
    names = {1: "not-permitted", 101: "no-network", 104: "reset", 111: "refused", 113: "no-host", 32: "broken-pipe"}
    return names.get(getattr(error, "errno", None), type(error).__name__)


async def answer(reader):
    """The status of one answer whose body is read; httpgo's is whole (Content-Length)."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(fields.get("content-length", 0)))
    return head.split(" ", 2)[1]


class Flow:
    def __init__(self, spec, out):
        self.spec, self.out = spec, out
        body = spec["mark"].encode()
        closing = "" if spec["kind"] == "keep" else "Connection: close\r\n"
        self.request = (f"POST {spec.get('path', '/')} HTTP/1.1\r\nHost: {spec['host']}\r\n{closing}"
                        f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    def note(self, started, outcome):
        took = (time.time() - started) * 1000
        self.out.write(f"{started:.3f} {self.spec['name']} {outcome} {took:.1f}\n")

    async def connect(self):
        return await asyncio.open_connection(self.spec["host"], self.spec["port"])

    async def exchange(self, streams):
        streams[1].write(self.request)
        return await answer(streams[0])

    async def once(self, kept):
        """One request; the connection to go on with, or None."""
        started, streams = time.time(), kept
        try:
            async with asyncio.timeout(LIMIT):
                streams = streams or await self.connect()
                status = await self.exchange(streams)
            self.note(started, "ok" if status == "200" else status)
            if self.spec["kind"] == "keep":
                return streams
        except (OSError, EOFError, ValueError) as error:
            self.note(started, reason(error))
        if streams:
            streams[1].transport.abort()
        return None

    async def run(self):
        kept, due, tasks = None, time.monotonic(), set()
        while True:
            if self.spec["kind"] == "keep":
                kept = await self.once(kept)
            else:
                task = asyncio.create_task(self.once(None))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            due = max(due + 1 / self.spec["rate"], time.monotonic() - 1)
            await asyncio.sleep(max(0, due - time.monotonic()))


async def main():
    with open(sys.argv[1], "a", buffering=1, encoding="ascii") as out:
        await asyncio.gather(*(Flow(spec, out).run() for spec in json.loads(sys.argv[2])))


asyncio.run(main())
