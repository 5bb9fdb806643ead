"""Rows of the catalogue that need sockets: proxies in the environment (T24), a connection closed while idle (T25).

In: a folder, a seed. Out: AssertionError where the client does not behave. The client is the agent's own with its real
network transport; it talks to small servers on 127.0.0.1 and to nobody else.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from deribit_client import DeribitClient
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.configs import agent_config
from tests.builders.paper import START

PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
READ_BYTES = 65_536
MOST_WAIT_SECONDS = 5.0


class SmallServer:
    """Answers each request with a token or a time, and closes the connection without a word after some replies."""

    def __init__(self, closes_after_replies: int) -> None:
        self.methods: list[str] = []
        self.connections = 0
        self.closed = 0
        self.closes_after_replies = closes_after_replies
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed: the scenario is over
                return
            self.connections += 1
            connection.settimeout(5.0)
            with connection:
                self._answer(connection)
            self.closed += 1

    def _answer(self, connection: socket.socket) -> None:
        for _ in range(self.closes_after_replies):
            received = _request(connection)
            if received is None:
                return
            self.methods.append(received["method"])
            body = json.dumps(_reply(received)).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)


def _request(connection: socket.socket) -> dict[str, str] | None:
    """One request's JSON body; None where the other end has gone."""
    content = b""
    while b"\r\n\r\n" not in content or len(content.partition(b"\r\n\r\n")[2]) < _length(content):
        try:
            more = connection.recv(READ_BYTES)
        except TimeoutError:
            return None
        if not more:
            return None
        content += more
    body: dict[str, str] = json.loads(content.partition(b"\r\n\r\n")[2])
    return body


def _length(content: bytes) -> int:
    lines = content.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)


def _reply(request: dict[str, str]) -> dict[str, object]:
    is_login = request["method"] == "public/auth"
    token = {"access_token": "made-up-token", "expires_in": 900, "scope": "trade:read_write account:read wallet:none"}
    error = {"code": 11044, "message": "not_open_order"}
    outcome: dict[str, object] = {"result": token} if is_login else {"error": error}
    if request["method"] == "public/get_time":
        outcome = {"result": 1_767_614_400_000}
    return {"jsonrpc": "2.0", "id": request["id"], "testnet": True, **outcome}


@contextmanager
def a_server(closes_after_replies: int = 100) -> Iterator[SmallServer]:
    server = SmallServer(closes_after_replies)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def proxies_to(port: int) -> Iterator[None]:
    """Every variable that tools read proxies from points at a port of this machine."""
    before = {name: os.environ.get(name) for name in PROXY_NAMES}
    os.environ.update(dict.fromkeys(PROXY_NAMES, f"http://127.0.0.1:{port}"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ |= {} if value is None else {name: value}


def a_client(folder: Path, port: int) -> DeribitClient:
    config = agent_config(folder, deribit={"base_url": f"http://127.0.0.1:{port}"})
    return DeribitClient(config, clock=SimulatedClock(START), credentials=("made-up-id", "made-up-secret"))


def wait_until_closed(server: SmallServer) -> None:
    """Until the last connection is gone, if it was to be closed after the last reply."""
    is_used_up = len(server.methods) % server.closes_after_replies == 0
    ends_at = monotonic() + MOST_WAIT_SECONDS
    while is_used_up and server.closed < server.connections and monotonic() < ends_at:
        sleep(0.001)


def proxies_ignored(folder: Path, seed: int) -> None:
    """T24: the request goes to the exchange; the proxy hears nothing."""
    with a_server() as exchange, a_server() as attacker, proxies_to(attacker.port):
        client = a_client(folder, exchange.port)
        client.get_time()
        client.cancel_order("1")
        client.close()
        assert exchange.methods == ["public/get_time", "public/auth", "private/cancel"], exchange.methods
        assert attacker.connections == 0, "the proxy of the environment was used"


def idle_connection_closed(folder: Path, seed: int) -> None:
    """T25: the server closes an idle connection; the next request goes out once, on a new one.

    The server closes after a cancel, and the client waits until it has: between login and the first cancel nobody
    waits, so a connection closed there would not be idle (that is T09).
    """
    with a_server(closes_after_replies=2 + seed % 2) as exchange:
        client = a_client(folder, exchange.port)
        for _ in range(3):
            client.cancel_order("1")
            wait_until_closed(exchange)
        client.close()
        sent = [method for method in exchange.methods if method == "private/cancel"]
        assert len(sent) == 3, f"three cancels arrived as {len(sent)}"
        assert exchange.connections >= 2, "no connection was closed"


NETWORK: dict[str, Callable[[Path, int], None]] = {"T24": proxies_ignored, "T25": idle_connection_closed}
