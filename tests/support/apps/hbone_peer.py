#!/usr/bin/python3
"""A stock HBONE peer, for interoperation tests: Python's ssl and h2, nothing of weft's.

  hbone_peer.py client --connect 10.0.0.2:15008 --authority 10.0.0.2:80 --cert C --key K --root R [--send TEXT]
  hbone_peer.py server --listen 10.0.0.2:15008 --app 127.0.0.1:80 --cert C --key K --root R

The client opens one tunnel and prints one JSON line: the status of the answer, its baggage, the peer's identity, what
came back, how it ended ("end", "reset N", "goaway N", "closed", "tls: ...", "timeout"). The server relays every CONNECT
to --app and prints a JSON line a request, after "ready".

Modes of the client (--mode), the wrong ones first:
  get            a GET instead of a CONNECT             no-alpn        TLS without ALPN
  tls12          TLS 1.2 at most                        no-cert        no client certificate
  early          speaks HTTP/2 before TLS is through: plain text on the port
  never-read     asks for a lot and never reads: prints how much came before it stalled
  window-one     a stream window of one byte            rapid-reset    opens and resets streams without end
  ping-flood, settings-flood                            hold           stays open until stdin ends
  other-path     a CONNECT with :path and :scheme
Modes of the server: never-read (of its first stream), refuse-reset (a reset at once behind --status), no-alpn, tls12.
"""
import argparse
import json
import select
import socket
import ssl
import sys
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

S = h2.settings.SettingCodes
WINDOW, CONNECTION_WINDOW = 4 << 20, 16 << 20


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def context_of(args, server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if args.mode == "tls12":
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(args.root)
    if args.mode != "no-cert":
        context.load_cert_chain(args.cert, args.key)
    if args.mode != "no-alpn":
        context.set_alpn_protocols(["h2"])
    return context


def identity_of(tls):
    return [value for kind, value in tls.getpeercert().get("subjectAltName", ()) if kind == "URI"]


def new_connection(client, settings):
    """h2 4.1 asks for :path even in a CONNECT, so fields are not validated; tests may break the rules anyway."""
    config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8", validate_inbound_headers=False,
                                       validate_outbound_headers=False,
                                       normalize_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    # What is set by update() would count here at once and be told to the peer never.
    connection.local_settings = h2.settings.Settings(client=client, initial_values=settings)
    connection.max_inbound_frame_size = connection.local_settings.max_frame_size
    connection.initiate_connection()
    connection.increment_flow_control_window(CONNECTION_WINDOW - 65535)
    return connection


class Tunnel:
    """An HTTP/2 connection over TLS, blocking, with a deadline."""

    def __init__(self, tls, connection):
        self.tls, self.h2 = tls, connection

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.tls.sendall(data)

    def events(self, seconds):
        """The next events; [] after so long; None when the connection is closed."""
        if not self.tls.pending() and not select.select([self.tls], [], [], seconds)[0]:
            return []
        try:
            data = self.tls.recv(65536)
        except ssl.SSLWantReadError:
            return []
        if not data:
            return None
        events = self.h2.receive_data(data)
        self.flush()
        return events


# ---- client


def connect_headers(args):
    if args.mode == "get":
        return [(":method", "GET"), (":scheme", "http"), (":authority", args.authority), (":path", "/")]
    headers = [(":method", "CONNECT"), (":authority", args.authority)]
    if args.mode == "other-path":
        headers += [(":scheme", "https"), (":path", "/")]
    for name in ("baggage", "forwarded", "traceparent"):
        if getattr(args, name):
            headers.append((name, getattr(args, name)))
    return headers


def start_client(args, tls):
    window = {"window-one": 1}.get(args.mode, WINDOW)
    settings = {S.INITIAL_WINDOW_SIZE: window, S.ENABLE_PUSH: 0, S.MAX_FRAME_SIZE: 1 << 20}
    tunnel = Tunnel(tls, new_connection(True, settings))
    tunnel.flush()
    return tunnel


class Exchange:
    """One CONNECT and what comes of it."""

    def __init__(self, args, tunnel):
        self.args, self.tunnel = args, tunnel
        self.out = {"status": None, "received": 0, "text": "", "end": "timeout"}
        self.to_send, self.finished = args.send.encode(), False
        self.id = tunnel.h2.get_next_available_stream_id()
        tunnel.h2.send_headers(self.id, connect_headers(args), end_stream=False)
        tunnel.flush()

    def push(self):
        h2c = self.tunnel.h2
        if self.out["status"] != "200" or self.finished:
            return
        while self.to_send:
            size = min(len(self.to_send), h2c.local_flow_control_window(self.id), h2c.max_outbound_frame_size)
            if size <= 0:
                return
            h2c.send_data(self.id, self.to_send[:size])
            self.to_send = self.to_send[size:]
        if self.args.half_close:
            h2c.end_stream(self.id)
        self.finished = True
        self.tunnel.flush()

    def on(self, event):
        """True when it is over."""
        if isinstance(event, h2.events.ResponseReceived):
            headers = dict(event.headers)
            self.out.update(status=headers.get(":status"), baggage=headers.get("baggage", ""))
        elif isinstance(event, h2.events.DataReceived):
            self.out["received"] += len(event.data)
            self.out["text"] = (self.out["text"] + event.data.decode(errors="replace"))[:4096]
            if self.args.mode not in ("never-read", "window-one"):
                self.tunnel.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.out["end"] = "end"
            return True
        elif isinstance(event, h2.events.StreamReset):
            self.out["end"] = f"reset {int(event.error_code)}"
            return True
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.out["end"] = f"goaway {int(event.error_code)}"
            return event.error_code != 0
        self.push()
        self.tunnel.flush()
        return len(self.out["text"]) >= self.args.enough > 0

    def run(self):
        deadline = time.monotonic() + self.args.timeout
        while time.monotonic() < deadline:
            events = self.tunnel.events(min(0.2, max(0.0, deadline - time.monotonic())))
            if events is None:
                self.out["end"] = "closed" if self.out["end"] == "timeout" else self.out["end"]
                break
            if any([self.on(event) for event in events]):
                break
        return self.out


def flood(args, tunnel):
    """Until the peer has had enough: how many, and how it said so."""
    sent = 0
    out = {"end": "timeout"}
    deadline = time.monotonic() + args.timeout
    try:
        while time.monotonic() < deadline:
            for _ in range(50):
                if args.mode == "ping-flood":
                    tunnel.h2.ping(b"01234567")
                elif args.mode == "settings-flood":
                    tunnel.h2.update_settings({S.MAX_HEADER_LIST_SIZE: 16384 + sent % 100})
                else:
                    stream = tunnel.h2.get_next_available_stream_id()
                    tunnel.h2.send_headers(stream, connect_headers(args))
                    tunnel.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                sent += 1
            tunnel.flush()
            for event in tunnel.events(0) or []:
                if isinstance(event, h2.events.ConnectionTerminated):
                    out["end"] = f"goaway {int(event.error_code)}"
                    return dict(out, sent=sent)
    except (OSError, h2.exceptions.ProtocolError) as error:
        out["end"] = f"closed: {type(error).__name__}"
    return dict(out, sent=sent)


def client(args):
    raw = socket.create_connection(address(args.connect), timeout=args.timeout)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if args.mode == "early":
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        try:
            return {"end": "closed" if len(raw.recv(100)) < 100 else "answered"}
        except OSError as error:
            return {"end": f"closed: {type(error).__name__}"}
    try:
        tls = context_of(args, False).wrap_socket(raw)
        out = {"peer": identity_of(tls), "tls": tls.version(), "cipher": tls.cipher()[0],
               "alpn": tls.selected_alpn_protocol()}
        tunnel = start_client(args, tls)
        if args.mode in ("rapid-reset", "ping-flood", "settings-flood"):
            return dict(out, **flood(args, tunnel))
        exchange = Exchange(args, tunnel)
        out.update(exchange.run())
        if args.mode == "hold":
            print(json.dumps(out), flush=True)
            sys.stdin.read()
        return out
    except (ssl.SSLError, OSError) as error:
        # TLS 1.3: what a server thinks of the client's certificate shows at the first read.
        return {"end": f"tls: {getattr(error, 'reason', None) or type(error).__name__}"}


# ---- server


class Serving:
    """One accepted tunnel: relays its streams, in one thread."""

    def __init__(self, args, tls):
        self.args, self.tls = args, tls
        self.h2 = new_connection(False, {S.INITIAL_WINDOW_SIZE: WINDOW, S.MAX_CONCURRENT_STREAMS: args.streams})
        self.apps, self.streams, self.pending = {}, {}, {}  # app socket -> id, id -> app socket, id -> bytes to send

    def run(self):
        while self.flush():
            readable = [self.tls] if self.tls.pending() else \
                select.select([self.tls] + [s for s, i in self.apps.items() if len(self.pending[i]) < 1 << 20], [], [])[0]
            for source in readable:
                if source is not self.tls:
                    self.from_app(source)
                elif not self.from_tunnel():
                    return

    def flush(self):
        for stream in list(self.pending):
            self.push(stream)
        self.tls.sendall(self.h2.data_to_send())
        return True

    def push(self, stream):
        try:
            while self.pending[stream]:
                size = min(len(self.pending[stream]), self.h2.local_flow_control_window(stream),
                           self.h2.max_outbound_frame_size)
                if size <= 0:
                    return
                self.h2.send_data(stream, bytes(self.pending[stream][:size]))
                del self.pending[stream][:size]
            if stream not in self.apps.values():
                self.h2.end_stream(stream)
                del self.pending[stream]
        except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError):
            self.pending.pop(stream, None)

    def from_app(self, app):
        stream = self.apps[app]
        try:
            data = app.recv(65536)
        except OSError:
            self.drop(stream)
            self.pending.pop(stream, None)
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.CONNECT_ERROR)
            return
        if data:
            self.pending[stream] += data
        else:
            del self.apps[app]

    def from_tunnel(self):
        try:
            data = self.tls.recv(65536)
        except (OSError, ssl.SSLError):
            return False
        if not data:
            return False
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.request(event.stream_id, dict(event.headers))
            elif isinstance(event, h2.events.DataReceived):
                if self.args.mode == "never-read" and event.stream_id == 1:
                    continue
                if event.stream_id in self.streams:
                    self.streams[event.stream_id].sendall(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.streams:
                self.streams[event.stream_id].shutdown(socket.SHUT_WR)
            elif isinstance(event, h2.events.StreamReset):
                self.drop(event.stream_id, hard=True)
                self.pending.pop(event.stream_id, None)
            elif isinstance(event, h2.events.ConnectionTerminated):
                return False
        return True

    def drop(self, stream, hard=False):
        app = self.streams.pop(stream, None)
        if app is None:
            return
        self.apps.pop(app, None)
        if hard:
            app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        app.close()

    def request(self, stream, headers):
        print(json.dumps({"request": headers, "peer": identity_of(self.tls)}), flush=True)
        status = str(self.args.status)
        if headers.get(":method") != "CONNECT":
            status = "400"
        elif self.args.expect_authority and headers.get(":authority") != self.args.expect_authority:
            status = "400"
        if status != "200" and self.args.mode == "refuse-reset":
            self.h2.send_headers(stream, [(":status", status)])
            return self.h2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)
        if status != "200":
            return self.h2.send_headers(stream, [(":status", status)], end_stream=True)
        try:
            app = socket.create_connection(address(self.args.app), timeout=5)
        except OSError:
            return self.h2.send_headers(stream, [(":status", "503")], end_stream=True)
        self.apps[app], self.streams[stream], self.pending[stream] = stream, app, bytearray()
        return self.h2.send_headers(stream, [(":status", "200"), ("baggage", "service.name=peer")])


def accept_one(args, context, raw):
    try:
        raw.settimeout(10)
        tls = context.wrap_socket(raw, server_side=True)
        tls.settimeout(None)
        Serving(args, tls).run()
        tls.close()
    except (OSError, ssl.SSLError, h2.exceptions.ProtocolError) as error:
        print(json.dumps({"failed": f"{type(error).__name__}: {getattr(error, 'reason', error)}"}), flush=True)
        raw.close()


def server(args):
    listener = socket.create_server(address(args.listen), backlog=128, reuse_port=False,
                                    family=socket.AF_INET6 if ":" in address(args.listen)[0] else socket.AF_INET)
    context = context_of(args, True)
    print("ready", flush=True)
    while True:
        raw, _ = listener.accept()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=accept_one, args=(args, context, raw), daemon=True).start()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("client", "server"))
    for name in ("cert", "key", "root", "connect", "listen", "app", "authority", "expect-authority", "baggage",
                 "forwarded", "traceparent"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--send", default="", help="text, once the answer is 200")
    parser.add_argument("--half-close", action="store_true", help="END_STREAM behind it")
    parser.add_argument("--enough", type=int, default=0, help="stop after so many characters of answer")
    parser.add_argument("--mode", default="")
    parser.add_argument("--status", type=int, default=200, help="server: the answer to every request")
    parser.add_argument("--streams", type=int, default=200, help="server: SETTINGS_MAX_CONCURRENT_STREAMS")
    parser.add_argument("--timeout", type=float, default=10)
    args = parser.parse_args()
    if args.role == "server":
        server(args)
    print(json.dumps(client(args)), flush=True)


if __name__ == "__main__":
    main()
