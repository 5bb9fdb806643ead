"""Deribit's public history on this machine, with its silent truncations and whatever faults a test asks for.

Two servers, one for each host, answer over real sockets from one made-up world. As documented or reported: candles are
the last 5,001 of what was asked for, DVOL the last 900, the main host has trades of the last 24 hours, the history host
no DVOL. Faults wait in a queue by method and are used up, one a request.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from backtest.download.client import Addresses, PublicClient
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, SimulatedClock, to_ms

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)
START_MS, NOW_MS = to_ms(START), to_ms(NOW)
CANDLES_AT_MOST = 5_001
DVOL_AT_MOST = 900
CANDLES = "public/get_tradingview_chart_data"
DVOL = "public/get_volatility_index_data"
TRADES = "public/get_last_trades_by_currency_and_time"
PRICES = "public/get_delivery_prices"
INSTRUMENTS = "public/get_instruments"

Fault = Callable[["_Handler", Any], None]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `at_seconds` by the test's clock."""

    host: str
    method: str
    params: dict[str, str]
    headers: dict[str, str]
    at_seconds: float


@dataclass
class World:
    """What the exchange knows. A test takes rows away, or doubles them."""

    hours_ms: list[int] = field(default_factory=lambda: list(range(START_MS, NOW_MS, HOUR_MS)))
    trades: list[dict[str, Any]] = field(default_factory=list)
    delivery_days_ms: list[int] = field(default_factory=lambda: list(range(START_MS, NOW_MS, DAY_MS)))
    newest_first: bool = False
    says_more: bool = True

    def bars_ms(self, params: dict[str, str], at_most: int) -> list[int]:
        """The trailing hours of the span, and no word on those that were cut off."""
        start, end = int(params["start_timestamp"]), int(params["end_timestamp"])
        return [at for at in self.hours_ms if start <= at <= end][-at_most:]


def price_at(at_ms: int) -> float:
    """A price that tells hours apart."""
    return 40_000.0 + (at_ms - START_MS) / HOUR_MS


def make_trades(count: int, start_ms: int = START_MS, apart_ms: int = 20_000) -> list[dict[str, Any]]:
    """Trades from a moment on; every three share a millisecond."""
    return [
        {
            "timestamp": start_ms + number // 3 * 3 * apart_ms,
            "trade_id": str(1_000 + number),
            "trade_seq": number,
            "instrument_name": "BTC-26JAN24-50000-C",
            "direction": "sell" if number % 2 else "buy",
            "price": 0.01,
            "amount": 0.5,
            "iv": 55.5,
            "mark_price": 0.0101,
            "index_price": 42_000.0,
        }
        for number in range(count)
    ]


class HistoryServer:
    """Both hosts. `requests` has what was asked, oldest first."""

    def __init__(self, world: World, clock: SimulatedClock) -> None:
        self.world, self.clock = world, clock
        self.requests: list[Asked] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._servers = {name: _Server(self, name) for name in ("main", "history")}

    @property
    def addresses(self) -> Addresses:
        main, history = (f"http://127.0.0.1:{server.server_port}" for server in self._servers.values())
        return Addresses(main, history)

    def fail(self, method: str, *faults: Fault) -> None:
        self.faults[method].extend(faults)

    def asked(self, method: str) -> list[Asked]:
        return [request for request in self.requests if request.method == method]

    def start(self) -> None:
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def answer(self, host: str, method: str, params: dict[str, str]) -> Any:
        """The result, or an error code as Deribit gives it."""
        if method == DVOL and host == "history":
            return {"error": {"code": -32601, "message": "Method not found"}}
        return {"result": _ANSWERS[method](self, host, params)}


@contextmanager
def serving(world: World | None = None) -> Iterator[tuple[HistoryServer, PublicClient]]:
    """A server with its world, and the real client on a clock whose sleeps are over at once."""
    clock = SimulatedClock(NOW)
    server = HistoryServer(World() if world is None else world, clock)
    server.start()
    client = PublicClient(clock, server.addresses)
    try:
        yield server, client
    finally:
        client.close()
        server.stop()


# --- answers --------------------------------------------------------------------------------------------


def _candles(server: HistoryServer, host: str, params: dict[str, str]) -> dict[str, Any]:
    ticks = server.world.bars_ms(params, CANDLES_AT_MOST)
    prices = [price_at(at) for at in ticks]
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    status = "ok" if len(ticks) > 0 else "no_data"
    return {"ticks": ticks, **columns, "volume": [1.5] * len(ticks), "cost": prices, "status": status}


def _dvol(server: HistoryServer, host: str, params: dict[str, str]) -> dict[str, Any]:
    bars = server.world.bars_ms(params, DVOL_AT_MOST)
    is_cut = len(bars) == DVOL_AT_MOST and server.world.says_more
    return {"data": [[at, 50.0, 52.0, 49.0, 51.25] for at in bars], "continuation": bars[0] if is_cut else None}


def _trades(server: HistoryServer, host: str, params: dict[str, str]) -> dict[str, Any]:
    oldest_ms = NOW_MS - DAY_MS if host == "main" else 0
    start, end = max(int(params["start_timestamp"]), oldest_ms), int(params["end_timestamp"])
    inside = [trade for trade in server.world.trades if start <= trade["timestamp"] <= end]
    if server.world.newest_first:
        inside.reverse()
    page = inside[: int(params.get("count", 10))]
    return {"trades": page, "has_more": server.world.says_more and len(page) < len(inside)}


def _prices(server: HistoryServer, host: str, params: dict[str, str]) -> dict[str, Any]:
    days = sorted(server.world.delivery_days_ms, reverse=True)
    offset, count = int(params.get("offset", 0)), min(int(params.get("count", 10)), 1_000)
    rows = [
        {"date": f"{datetime.fromtimestamp(day / 1000, UTC):%Y-%m-%d}", "delivery_price": price_at(day)} for day in days
    ]
    return {"data": rows[offset : offset + count], "records_total": len(rows)}


def _instruments(server: HistoryServer, host: str, params: dict[str, str]) -> list[dict[str, Any]]:
    is_expired = params["expired"] == "true"
    if is_expired and host == "main":
        return []  # the main host forgets
    names = ["BTC-26JAN24-50000-C", "BTC-26JAN24-55000-P"] if is_expired else ["BTC-29MAR24-60000-C"]
    return [_instrument(name, NOW_MS + (-30 if is_expired else 28) * DAY_MS) for name in names]


def _instrument(name: str, expires_at_ms: int) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "kind": "option",
        "option_type": "call" if name.endswith("C") else "put",
        "creation_timestamp": expires_at_ms - 60 * DAY_MS,
        "expiration_timestamp": expires_at_ms,
        "strike": float(name.split("-")[2]),
        "tick_size": 0.0001,
        "min_trade_amount": 0.1,
        "settlement_period": "month",
    }


_ANSWERS: dict[str, Callable[[HistoryServer, str, dict[str, str]], Any]] = {
    CANDLES: _candles,
    DVOL: _dvol,
    TRADES: _trades,
    PRICES: _prices,
    INSTRUMENTS: _instruments,
}


# --- faults ---------------------------------------------------------------------------------------------


def too_many(retry_after: str | None = None) -> Fault:
    """HTTP 429 from in front of the API."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler, _: handler.send_bytes(429, b"<html>slow down</html>", headers)


def too_many_requests(wait_seconds: float | None = None) -> Fault:
    """Deribit's own 10028, in an HTTP 400."""
    data = {} if wait_seconds is None else {"data": {"wait": wait_seconds}}
    return refused(10028, "too_many_requests", **data)


def refused(code: int, message: str, **more: Any) -> Fault:
    error = {"error": {"code": code, "message": message, **more}}
    return lambda handler, _: handler.send_bytes(400, json.dumps(error).encode())


def gateway_down(handler: _Handler, body: Any) -> None:
    handler.send_bytes(502, b"<html>bad gateway</html>")


def cut_connection(handler: _Handler, body: Any) -> None:
    """Half of what the header promises, then nothing."""
    content = json.dumps(body).encode()
    handler.send_bytes(200, content[: len(content) // 2], promised=len(content))


def cut_json(handler: _Handler, body: Any) -> None:
    """Half a reply that looks whole on the wire."""
    content = json.dumps(body).encode()
    handler.send_bytes(200, content[: len(content) // 2])


def no_answer(handler: _Handler, body: Any) -> None:
    handler.close_connection = True


def changed(change: Callable[[Any], Any]) -> Fault:
    """The right envelope around another result."""
    return lambda handler, body: handler.send_json(body | {"result": change(body["result"])})


def empty_page(handler: _Handler, body: Any) -> None:
    """Nothing, and a status that says all is well."""
    result = body["result"]
    emptied = [] if isinstance(result, list) else {key: _emptied(value) for key, value in result.items()}
    handler.send_json(body | {"result": emptied})


def _emptied(value: Any) -> Any:
    return [] if isinstance(value, list) else value


def redirect(handler: _Handler, body: Any) -> None:
    handler.send_bytes(302, b"", {"Location": "https://elsewhere.example/api/v2/public/get_time"})


def from_testnet(handler: _Handler, body: Any) -> None:
    handler.send_json(body | {"testnet": True})


# --- sockets --------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, history: HistoryServer, host: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.history, self.host = history, host


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        history = self.server.history
        parts = urlsplit(self.path)
        method, params = parts.path.removeprefix("/api/v2/"), dict(parse_qsl(parts.query))
        asked = Asked(self.server.host, method, params, dict(self.headers), history.clock.monotonic())
        history.requests.append(asked)
        body = {"jsonrpc": "2.0", "testnet": False, **history.answer(self.server.host, method, params)}
        waiting = history.faults[method]
        if len(waiting) > 0:
            waiting.popleft()(self, body)
        else:
            self.send_json(body)

    def send_json(self, body: Any) -> None:
        self.send_bytes(400 if "error" in body else 200, json.dumps(body).encode(), {"Set-Cookie": "who=you; Path=/"})

    def send_bytes(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, promised: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if promised is None else promised))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = promised is not None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Silent."""
