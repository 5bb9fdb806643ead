"""The paper exchange behind a socket, for any client of Deribit's JSON-RPC over HTTP.

In: HTTP/1.1 requests, on this machine unless told otherwise. Out: what `PaperExchange.handle` answers, one
request at a time. Keeps connections alive, at most 32 as Deribit does (429 beyond); a request has to arrive whole
within REQUEST_SECONDS of its first byte; bodies above 32 kB are refused unread.
"""

from __future__ import annotations

import contextlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from paper_exchange.api.rpc import MAX_BODY_BYTES, reply_bytes
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.errors import request_too_large
from paper_exchange.market.times import to_us

IDLE_SECONDS = 15 * 60
REQUEST_SECONDS = 10.0  # for the first request of a connection, and for each that has begun
CONNECTIONS_MAX = 32
POLL_SECONDS = 0.05  # how soon it notices that it shall stop
TOO_MANY_CONNECTIONS = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PaperServer:
    """Serves an exchange from a thread of its own. Port 0 takes any free one. Raises OSError if the port is taken."""

    def __init__(self, exchange: PaperExchange, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _HttpServer((host, port), _Handler)
        self._server.exchange = exchange
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    @property
    def url(self) -> str:
        """Where a client finds it, without the /api/v2."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def catch_up(self) -> None:
        """Let the account follow the market's clock, so that no request has to make up for a long silence."""
        with self._server.lock:
            self._server.exchange.account.advance()

    def stop(self) -> None:
        """Answer no more and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    exchange: PaperExchange

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The account is one state machine: requests are answered one after the other.
        self.lock = threading.Lock()
        self.free_connections = threading.Semaphore(CONNECTIONS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free_connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(TOO_MANY_CONNECTIONS)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free_connections.release()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body are two writes: without TCP_NODELAY each reply waits for the client's acknowledgement.
    disable_nagle_algorithm = True
    has_answered = False
    timeout = REQUEST_SECONDS
    server: _HttpServer

    def handle_one_request(self) -> None:
        """One request of a connection, however long it rested before."""
        self.connection.settimeout(IDLE_SECONDS if self.has_answered else REQUEST_SECONDS)
        assert isinstance(self.rfile, io.BufferedReader)
        try:
            is_closed = self.rfile.peek(1) == b""
        except OSError:
            is_closed = True
        if is_closed:
            self.close_connection = True
            return
        self.connection.settimeout(REQUEST_SECONDS)
        super().handle_one_request()
        self.has_answered = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Silent: one line per request would drown everything else."""

    def _answer(self) -> None:
        length = self._body_length()
        if length is None:
            self._refuse_body()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(length)
        with self.server.lock:
            status, reply = self.server.exchange.handle(self.command, path, query, body, dict(self.headers))
        self._send(status, reply)

    def _body_length(self) -> int | None:
        """None when the body is too long, or does not say how long it is."""
        if "transfer-encoding" in self.headers:
            return None
        text = self.headers.get("content-length", "0").strip()
        if len(text) > len(str(MAX_BODY_BYTES)) or not text.isdecimal():
            return None
        return int(text) if int(text) <= MAX_BODY_BYTES else None

    def _refuse_body(self) -> None:
        # The body stays unread, so the connection cannot be used again.
        self.close_connection = True
        now_us = to_us(self.server.exchange.market.clock.now())
        self._send(400, reply_bytes(None, {"error": request_too_large().body()}, now_us, now_us))

    def _send(self, status: int, reply: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
