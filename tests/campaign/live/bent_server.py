"""A paper exchange on a loopback socket that sends its replies as badly as it is told to.

In: an exchange, and for a method the ways in which its next replies are bent (cut off, dripped, huge, packed wrongly,
for another request, from elsewhere). Out: the bytes on the socket, and a list of what was asked on which connection.
Everything is handled by the exchange as usual; only the way back is bent.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from paper_exchange.exchange import PaperExchange

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `connection` is the client's port."""

    method: str
    params: dict[str, Any]
    headers: dict[str, str]
    connection: int


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        method, headers = self.path.removeprefix("/api/v2/"), dict(self.headers)
        params = json.loads(body)["params"]
        self.server.asked.append(Asked(method, params, headers, self.client_address[1]))
        with self.server.lock:
            status, reply = self.server.exchange.handle("POST", self.path, "", body, headers)
            bends = self.server.bends.get(method)
            bend = bends.popleft() if bends else plain
        bend(self, status, reply)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Silent."""

    def begin(self, status: int, length: int, *more: tuple[str, str]) -> None:
        """Status and headers."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()


Bend = Callable[[Handler, int, bytes], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, exchange: PaperExchange) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.exchange = exchange
        self.lock = threading.Lock()
        self.asked: list[Asked] = []
        self.bends: dict[str, deque[Bend]] = {}
        self.errors: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, ssl.SSLError)):  # clients that hang up are what this is about
            self.errors.append(f"{type(error).__name__}: {error}")


class BentServer:
    """The server; `url` is where it listens, `exchange` may be looked at between requests."""

    def __init__(self, exchange: PaperExchange, tls: ssl.SSLContext | None = None) -> None:
        self.exchange = exchange
        self._server = _Server(exchange)
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def asked(self) -> list[Asked]:
        return self._server.asked

    def asked_for(self, *methods: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method in methods]

    def bend(self, method: str, *bends: Bend) -> None:
        """The next replies to this method, one bend each."""
        self._server.bends.setdefault(method, deque()).extend(bends)

    @contextmanager
    def running(self) -> Iterator[BentServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
        assert self._server.errors == []


# --- ways to send a reply ------------------------------------------------------------------------------


def plain(handler: Handler, status: int, reply: bytes) -> None:
    """As it should be."""
    handler.begin(status, len(reply))
    handler.wfile.write(reply)


def cut_off(share: float) -> Bend:
    """Part of the body, then the connection ends."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        handler.begin(status, len(reply))
        handler.wfile.write(reply[: int(len(reply) * share)])
        hang_up(handler)

    return bend


def dripped(seconds_per_byte: float) -> Bend:
    """Byte after byte, each soon enough for any read timeout."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        handler.begin(status, len(reply))
        for position in range(len(reply)):
            handler.wfile.write(reply[position : position + 1])
            time.sleep(seconds_per_byte)

    return bend


def followed_by(megabytes: int) -> Bend:
    """The reply with blanks after it: valid JSON, but no end of it."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        handler.begin(status, len(reply) + megabytes * MEGABYTE)
        handler.wfile.write(reply)
        for _ in range(megabytes):
            handler.wfile.write(b" " * MEGABYTE)

    return bend


def bomb(megabytes: int) -> Bend:
    """A few kilobytes that unpack to very much."""
    packed = _packed_blanks(megabytes)

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        handler.begin(status, len(packed), ("Content-Encoding", "gzip"))
        handler.wfile.write(packed)

    return bend


@lru_cache
def _packed_blanks(megabytes: int) -> bytes:
    return gzip.compress(b" " * (megabytes * MEGABYTE), compresslevel=1)


def badly_packed(handler: Handler, status: int, reply: bytes) -> None:
    """Says gzip and is not."""
    handler.begin(status, len(reply), ("Content-Encoding", "gzip"))
    handler.wfile.write(reply)


def for_another_request(offset: int) -> Bend:
    """The id of another request, as on a connection that is out of step."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        content = json.loads(reply)
        content["id"] += offset
        plain(handler, status, json.dumps(content).encode())

    return bend


def with_unknown_fields(name: str, value: str) -> Bend:
    """A field that nobody has met: beside the result, and inside where the result has names."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        content = json.loads(reply)
        content[name] = value
        for row in content["result"] if isinstance(content["result"], list) else [content["result"]]:
            if isinstance(row, dict):
                row[name] = value
        plain(handler, status, json.dumps(content).encode())

    return bend


def redirected(status: int, location: str) -> Bend:
    """Go and ask somewhere else."""

    def bend(handler: Handler, _: int, reply: bytes) -> None:
        handler.begin(status, 0, ("Location", location))

    return bend


def then_closed(handler: Handler, status: int, reply: bytes) -> None:
    """A good reply, after which the server drops the idle connection without a word."""
    plain(handler, status, reply)
    hang_up(handler)


def held(waiting: threading.Event, go_on: threading.Event) -> Bend:
    """Say that the request is here, and answer when told to."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        waiting.set()
        go_on.wait(30.0)
        plain(handler, status, reply)

    return bend


def hang_up(handler: Handler) -> None:
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


# --- a port that nobody should ever come to -----------------------------------------------------------


@contextmanager
def lonely_port() -> Iterator[tuple[int, Callable[[], int]]]:
    """A listening port on this machine, and a function that counts who has come to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        visitors: list[socket.socket] = []

        def count() -> int:
            try:
                while True:
                    visitors.append(listener.accept()[0])
            except BlockingIOError:
                return len(visitors)

        yield listener.getsockname()[1], count
        for visitor in visitors:
            visitor.close()
