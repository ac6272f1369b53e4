# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of a real kube-apiserver that does what networks and busy servers do, at a chosen request.

HTTP/2 on both sides; every connection from the client has one to the server. Requests are counted per scope (a namespace,
or everything), so that several sweeps can run at once without disturbing each other.
"""
from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import socket
import ssl
import struct
import threading
import urllib.parse

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

# Answered here; the server never sees the request.
STATUSES = {409: ("Conflict", "the object has been modified"), 410: ("Expired", "too old resource version"),
            429: ("TooManyRequests", "too many requests"), 500: ("InternalError", "an error on the server"),
            503: ("ServiceUnavailable", "the server is currently unable to handle the request")}
REQUEST_FAULTS = ["409", "410", "429", "500", "503", "slow"]
# The server acts, its answer is spoilt on the way back.
ANSWER_FAULTS = ["truncated", "malformed", "reset", "lost-500"]
# The whole connection suffers, with all its watches.
CONNECTION_FAULTS = ["goaway", "cut", "blackhole"]
# Only streams of events.
WATCH_FAULTS = ["watch-cut", "watch-half-line", "watch-410", "watch-malformed"]
SLOW_SECONDS = 2.0


@dataclasses.dataclass
class Request:
    number: int  # in its scope, from 1
    method: str
    path: str
    scope: str

    @property
    def watch(self) -> bool:
        return "watch=" in urllib.parse.urlsplit(self.path).query

    @property
    def lease(self) -> bool:
        return "/apis/coordination.k8s.io/" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclasses.dataclass
class Fault:
    kind: str
    at: int  # the at-th request of the scope, or the at-th piece of events for a watch fault
    scope: str = ""
    hit: Request | None = None


def scope_of(path: str) -> str:
    found = re.search(r"/namespaces/([^/?]+)", path)
    return found.group(1) if found else ""


def status_body(code: int) -> bytes:
    reason, message = STATUSES[code]
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "message": message, "code": code}
    if code == 429:
        status["details"] = {"retryAfterSeconds": 1}
    return json.dumps(status).encode()


class Side:
    """One HTTP/2 connection: what waits for the peer's window is kept here."""

    def __init__(self, client: bool, reader, writer):
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8", validate_outbound_headers=False,
                                           normalize_outbound_headers=False, validate_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.reader, self.writer = reader, writer
        self.pending: dict[int, list] = {}  # stream -> [bytes, ended]
        self.open = True
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(8 * 1024 * 1024)
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and self.open and not self.writer.is_closing():
            self.writer.write(data)

    def send(self, stream: int, data: bytes, end: bool) -> None:
        entry = self.pending.setdefault(stream, [b"", False])
        entry[0] += data
        entry[1] = entry[1] or end
        self.drain(stream)

    def drain(self, stream: int) -> None:
        entry = self.pending.get(stream)
        if entry is None:
            return
        try:
            while entry[0]:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                if room <= 0:
                    return
                piece, entry[0] = entry[0][:room], entry[0][room:]
                self.h2.send_data(stream, piece, end_stream=entry[1] and not entry[0])
                if entry[1] and not entry[0]:
                    del self.pending[stream]
                    return
            if entry[1]:
                self.h2.end_stream(stream)
            del self.pending[stream]
        except h2.exceptions.ProtocolError:
            self.pending.pop(stream, None)

    def drain_all(self) -> None:
        for stream in list(self.pending):
            self.drain(stream)

    def abort(self) -> None:
        """Ends the TCP connection with a reset, as a dying machine's peer would see it."""
        self.open = False
        raw = self.writer.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Exchange:
    """One request and its answer."""

    def __init__(self, request: Request, client_stream: int, fault: Fault | None):
        self.request, self.client_stream, self.fault = request, client_stream, fault
        self.server_stream: int | None = None
        self.seen = 0
        self.over = False


class Connection:
    def __init__(self, proxy: "FaultProxy", client: Side, server: Side):
        self.proxy, self.client, self.server = proxy, client, server
        self.by_client: dict[int, Exchange] = {}
        self.by_server: dict[int, Exchange] = {}
        self.swallow = False
        self.late: set[asyncio.Task] = set()

    async def run(self) -> None:
        tasks = [asyncio.create_task(self.pump(self.client, self.from_client)),
                 asyncio.create_task(self.pump(self.server, self.from_server))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            while self.swallow:  # a black hole has no end that anyone could see
                await asyncio.sleep(0.2)
        finally:
            for task in tasks + list(self.late):
                task.cancel()
            for side in (self.client, self.server):
                side.open = False
                side.writer.close()

    async def pump(self, side: Side, handle) -> None:
        while True:
            try:
                data = await side.reader.read(65536)
            except (ConnectionError, ssl.SSLError):
                return
            if not data:
                return
            if self.swallow:
                continue
            try:
                events = side.h2.receive_data(data)
            except h2.exceptions.ProtocolError:
                side.flush()
                return
            for event in events:
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    side.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if isinstance(event, h2.events.ConnectionTerminated):
                    return
                handle(event)
                if self.swallow:
                    break
            if not self.swallow:
                for each in (self.client, self.server):
                    each.drain_all()
                    each.flush()

    # --- towards the server -----------------------------------------------------------------------------------------

    def from_client(self, event) -> None:
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.begin(stream, event.headers)
        exchange = self.by_client.get(stream)
        if exchange is None or exchange.server_stream is None:
            return
        if isinstance(event, h2.events.DataReceived):
            self.server.send(exchange.server_stream, event.data, False)
        elif isinstance(event, h2.events.StreamEnded):
            self.server.send(exchange.server_stream, b"", True)
        elif isinstance(event, h2.events.StreamReset):
            self.forget(exchange)
            try:
                self.server.h2.reset_stream(exchange.server_stream, event.error_code)
            except h2.exceptions.ProtocolError:
                pass

    def begin(self, stream: int, headers: list) -> None:
        fields = dict(headers)
        request, fault = self.proxy.arrive(fields[":method"], fields[":path"])
        exchange = Exchange(request, stream, fault)
        self.by_client[stream] = exchange
        kind = fault.kind if fault else ""
        if kind.isdigit():
            self.answer(exchange, int(kind))
            return
        if kind == "goaway":
            self.client.h2.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=max(0, stream - 2))
            self.client.flush()
            self.later(0.3, self.client.writer.close)
            return
        if kind == "cut":
            self.client.abort()
            return
        if kind == "blackhole":
            self.swallow = True
            return
        exchange.server_stream = self.server.h2.get_next_available_stream_id()
        self.by_server[exchange.server_stream] = exchange
        self.server.h2.send_headers(exchange.server_stream, headers)

    def later(self, seconds: float, action) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            action()
            if not self.swallow:
                self.client.drain_all()
                self.client.flush()

        task = asyncio.create_task(wait())
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    def answer(self, exchange: Exchange, code: int) -> None:
        body = status_body(code)
        headers = [(":status", str(code)), ("content-type", "application/json"), ("content-length", str(len(body)))]
        if code == 429:
            headers.append(("retry-after", "1"))
        try:
            self.client.h2.send_headers(exchange.client_stream, headers)
            self.client.send(exchange.client_stream, body, True)
        except h2.exceptions.ProtocolError:
            pass
        exchange.over = True

    def forget(self, exchange: Exchange) -> None:
        exchange.over = True
        self.by_client.pop(exchange.client_stream, None)
        self.by_server.pop(exchange.server_stream, None)
        self.client.pending.pop(exchange.client_stream, None)

    # --- towards the client -----------------------------------------------------------------------------------------

    def from_server(self, event) -> None:
        exchange = self.by_server.get(getattr(event, "stream_id", None))
        if exchange is None or exchange.over:
            return
        kind = exchange.fault.kind if exchange.fault else ""
        if kind == "slow":
            self.later(SLOW_SECONDS, lambda: self.deliver(exchange, event, ""))
        else:
            self.deliver(exchange, event, kind)

    def deliver(self, exchange: Exchange, event, kind: str) -> None:
        if exchange.over:
            return
        try:
            if isinstance(event, h2.events.ResponseReceived):
                self.deliver_headers(exchange, event, kind)
            elif isinstance(event, h2.events.DataReceived):
                self.deliver_data(exchange, event.data, kind)
            elif isinstance(event, h2.events.StreamEnded):
                self.client.send(exchange.client_stream, b"", True)
            elif isinstance(event, h2.events.TrailersReceived):
                pass  # the API server sends none
            elif isinstance(event, h2.events.StreamReset):
                self.client.h2.reset_stream(exchange.client_stream, event.error_code)
                self.forget(exchange)
        except h2.exceptions.ProtocolError:
            self.forget(exchange)

    def deliver_headers(self, exchange: Exchange, event, kind: str) -> None:
        if kind == "reset":
            self.client.h2.reset_stream(exchange.client_stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self.forget(exchange)
        elif kind == "lost-500":
            self.answer(exchange, 500)
        else:
            headers = event.headers
            if kind in ("truncated", "malformed"):
                headers = [(name, value) for name, value in headers if name != "content-length"]
            self.client.h2.send_headers(exchange.client_stream, headers)

    def deliver_data(self, exchange: Exchange, data: bytes, kind: str) -> None:
        if kind == "truncated":
            self.client.send(exchange.client_stream, data[:len(data) // 2], True)
            exchange.over = True
            return
        if kind == "malformed":
            self.client.send(exchange.client_stream, b'{"kind":' + bytes([0xff, 0x00]) + data[:20][::-1], True)
            exchange.over = True
            return
        if exchange.request.watch:
            kind = self.proxy.events_arrive(exchange.request)
            if kind and self.spoil_watch(exchange, data, kind):
                return
        self.client.send(exchange.client_stream, data, False)

    def spoil_watch(self, exchange: Exchange, data: bytes, kind: str) -> bool:
        if kind == "watch-cut":
            self.client.h2.reset_stream(exchange.client_stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif kind == "watch-half-line":
            self.client.send(exchange.client_stream, data[:len(data) // 2], True)
        elif kind == "watch-410":
            event = b'{"type":"ERROR","object":' + status_body(410) + b"}\n"
            self.client.send(exchange.client_stream, event, True)
        elif kind == "watch-malformed":
            self.client.send(exchange.client_stream, b'{"type":"MODIFIED","object":{"kind\n', True)
        exchange.over = True
        try:
            self.server.h2.reset_stream(exchange.server_stream, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:
            pass
        return True


class FaultProxy:
    """Runs in a thread of its own; arm() and the lists may be used from any thread."""

    def __init__(self, upstream: tuple[str, int], authority: str, client: tuple[str, str], server: tuple[str, str]):
        """authority: CA file of the API server; client: certificate and key files shown to it; server: those of this proxy."""
        self.upstream = upstream
        self.upstream_tls = ssl.create_default_context(cafile=authority)
        self.upstream_tls.load_cert_chain(*client)
        self.upstream_tls.set_alpn_protocols(["h2"])
        self.server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_tls.load_cert_chain(*server)
        self.server_tls.set_alpn_protocols(["h2"])
        self.lock = threading.Lock()
        self.requests: list[Request] = []
        self.counts: dict[str, int] = {}
        self.event_count = 0
        self.faults: list[Fault] = []
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "FaultProxy":
        self.thread.start()
        if not self.started.wait(10):
            raise RuntimeError("the fault proxy did not start")
        return self

    def stop(self) -> None:
        async def finish() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(finish(), self.loop)
        self.thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        listener = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.server_tls))
        self.port = listener.sockets[0].getsockname()[1]
        self.started.set()
        self.loop.run_forever()

    async def _serve(self, reader, writer) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream, ssl=self.upstream_tls)
        except OSError:
            writer.close()
            return
        await Connection(self, Side(False, reader, writer), Side(True, upstream_reader, upstream_writer)).run()

    # --- the plan ---------------------------------------------------------------------------------------------------

    def arm(self, *faults: Fault) -> None:
        """Adds faults. Counting starts anew for their scopes."""
        with self.lock:
            for fault in faults:
                self.counts.pop(fault.scope, None)
                self.faults.append(fault)
            self.event_count = 0

    def disarm(self) -> None:
        with self.lock:
            self.faults = []

    def arrive(self, method: str, path: str) -> tuple[Request, Fault | None]:
        with self.lock:
            scope = scope_of(path)
            request = Request(0, method, path, scope)
            if not request.watch and not request.lease:
                for name in {scope, ""}:
                    self.counts[name] = self.counts.get(name, 0) + 1
                request.number = self.counts[scope]
            self.requests.append(request)
            for fault in self.faults:
                if fault.hit is None and not fault.kind.startswith("watch-") and not request.watch and not request.lease \
                        and fault.scope in ("", scope) and self.counts[fault.scope] == fault.at:
                    fault.hit = request
                    return request, fault
            return request, None

    def events_arrive(self, request: Request) -> str:
        with self.lock:
            self.event_count += 1
            for fault in self.faults:
                if fault.hit is None and fault.kind.startswith("watch-") and self.event_count == fault.at:
                    fault.hit = request
                    return fault.kind
            return ""

    def seen(self, scope: str | None = None, since: int = 0) -> list[Request]:
        """Requests other than watches and leases, in order."""
        with self.lock:
            return [request for request in self.requests[since:]
                    if not request.watch and not request.lease and scope in (None, request.scope)]
