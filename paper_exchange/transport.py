"""Two ways for an httpx client to reach the paper exchange inside this process.

`PaperTransport` answers everything from the paper exchange. `DryRunTransport` passes the public reads it has a list of
on to the real network and reads the quotes going by; everything else, logging in included, is answered by the paper
exchange and never leaves the process. Talks to the network only through the inner transport.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx

from paper_exchange.api.rpc import API_ROOT, Call, read_call
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import MINUTE_MS, now_ms
from paper_exchange.market.errors import RpcError
from paper_exchange.testnet.market import TestnetMarket

# All that a dry run may ask of testnet: reads without credentials. What is not listed is answered here.
PASSED_METHODS = frozenset(
    {
        "public/get_book_summary_by_currency",
        "public/get_book_summary_by_instrument",
        "public/get_delivery_prices",
        "public/get_index_chart_data",
        "public/get_index_price",
        "public/get_instrument",
        "public/get_instruments",
        "public/get_order_book",
        "public/get_time",
        "public/get_tradingview_chart_data",
        "public/get_volatility_index_data",
        "public/status",
        "public/ticker",
    }
)
PASSED_PATHS = frozenset(f"{API_ROOT}/{method}".encode() for method in PASSED_METHODS)
MAX_OBSERVED_BYTES = 16 * 1024 * 1024
FETCH_TIMEOUT_SECONDS = 5.0
DELIVERY_PRICES_FETCHED = 100


class PaperTransport(httpx.BaseTransport):
    """Every request is answered by the paper exchange; no sockets."""

    def __init__(self, exchange: PaperExchange) -> None:
        self.exchange = exchange

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _answer(self.exchange, request)


class DryRunTransport(httpx.BaseTransport):
    """PASSED_METHODS go out through `inner`, everything else stays. The exchange must trade on a TestnetMarket."""

    def __init__(self, exchange: PaperExchange, inner: httpx.BaseTransport) -> None:
        if not isinstance(exchange.market, TestnetMarket):
            raise TypeError("a dry run trades on what is seen of testnet: the exchange needs a TestnetMarket")
        self.exchange = exchange
        self._market = exchange.market
        self._inner = inner
        self._fetched_at_ms: dict[str, int] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call = _public_call(request)
        if call is not None:
            return self._pass_on(request, call)
        if not self._market.knows_the_time:
            self._ask(request.url, "public/get_time", {})
        self._fetch_missing_delivery_prices(request.url)
        return _answer(self.exchange, request)

    def close(self) -> None:
        self._inner.close()

    def _pass_on(self, request: httpx.Request, call: Call) -> httpx.Response:
        response = self._inner.handle_request(_without_credentials(request))
        if response.status_code != httpx.codes.OK:
            return response
        headers = response.headers

        def observe(raw: bytes) -> None:
            self._market.observe(call.method, call.params, _decoded(headers, raw))

        assert isinstance(response.stream, httpx.SyncByteStream)
        stream = _ObservedStream(response.stream, observe)
        return httpx.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    # --- delivery prices ---------------------------------------------------------

    def _fetch_missing_delivery_prices(self, url: httpx.URL) -> None:
        """Ask for them where an expired position waits, at most once a minute and coin."""
        at_ms = now_ms(self._market.clock)
        for currency in sorted({currency for currency, _ in self.exchange.account.waiting_expiries()}):
            last_ms = self._fetched_at_ms.get(currency)
            if last_ms is None or at_ms - last_ms >= MINUTE_MS:
                self._fetched_at_ms[currency] = at_ms
                self._fetch_delivery_prices(url, currency)

    def _fetch_delivery_prices(self, url: httpx.URL, currency: str) -> None:
        params: dict[str, str | int] = {"index_name": f"{currency.lower()}_usd", "count": DELIVERY_PRICES_FETCHED}
        self._ask(url, "public/get_delivery_prices", params)

    def _ask(self, url: httpx.URL, method: str, params: dict[str, str | int]) -> None:
        """A public question of our own to the exchange that `url` points at; what it says is observed."""
        target = httpx.URL(scheme=url.scheme, host=url.host, port=url.port, path=f"{API_ROOT}/{method}")
        timeout = httpx.Timeout(FETCH_TIMEOUT_SECONDS).as_dict()
        request = httpx.Request("GET", target, params=params, extensions={"timeout": timeout})
        try:
            response = self._inner.handle_request(request)
            reply = response.read()
            response.close()
        except httpx.HTTPError:
            return  # what was asked for stays unknown; it is asked again
        if response.status_code == httpx.codes.OK:
            self._market.observe(method, params, reply)


class _ObservedStream(httpx.SyncByteStream):
    """Hands a reply through chunk by chunk, so that the client's own limits hold, and shows it whole at the end."""

    def __init__(self, stream: httpx.SyncByteStream, on_end: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._on_end = on_end

    def __iter__(self) -> Iterator[bytes]:
        chunks: list[bytes] = []
        seen_bytes = 0
        for chunk in self._stream:
            seen_bytes += len(chunk)
            if seen_bytes <= MAX_OBSERVED_BYTES:
                chunks.append(chunk)
            yield chunk
        if seen_bytes <= MAX_OBSERVED_BYTES:
            self._on_end(b"".join(chunks))

    def close(self) -> None:
        self._stream.close()


class SharedReads(httpx.BaseTransport):
    """What one of several dry runs has read since `forget`, the others are told without asking again.

    The time in a reply that is handed on is moved on by what has passed since; `monotonic` counts these seconds.
    """

    def __init__(self, inner: httpx.BaseTransport, monotonic: Callable[[], float]) -> None:
        self._inner = inner
        self._monotonic = monotonic
        self._read: dict[str, tuple[float, bytes]] = {}

    def forget(self) -> None:
        """From here on everything is read anew, once."""
        self._read.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        question, request_id = _question(request)
        known = self._read.get(question)
        if known is not None:
            read_at, content = known
            reply = _handed_on(content, request_id, self._monotonic() - read_at)
            headers = {"content-type": "application/json", "content-length": str(len(reply))}
            return httpx.Response(httpx.codes.OK, headers=headers, stream=httpx.ByteStream(reply))
        response = self._inner.handle_request(request)
        if response.status_code != httpx.codes.OK:
            return response
        headers_read = response.headers

        def keep(raw: bytes) -> None:
            self._read[question] = (self._monotonic(), _decoded(headers_read, raw))

        assert isinstance(response.stream, httpx.SyncByteStream)
        stream = _ObservedStream(response.stream, keep)
        return httpx.Response(response.status_code, headers=headers_read, stream=stream, extensions=response.extensions)

    def close(self) -> None:
        self._inner.close()


def _question(request: httpx.Request) -> tuple[str, object]:
    """What is asked, the number of the request left out; that number."""
    body = request.read()
    try:
        document = json.loads(body) if body.strip() else {}
    except ValueError:
        document = {}
    request_id = document.pop("id", None) if isinstance(document, dict) else None
    return f"{request.method} {request.url} {json.dumps(document, sort_keys=True)}", request_id


def _handed_on(content: bytes, request_id: object, seconds: float) -> bytes:
    """A reply under the number of another request, so many seconds later; as it is where it is no JSON object."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if not isinstance(reply, dict):
        return content
    reply["id"] = request_id
    for name in ("usIn", "usOut"):
        if isinstance(reply.get(name), int):
            reply[name] += int(seconds * 1e6)
    return json.dumps(reply, separators=(",", ":")).encode()


# --- requests and replies ----------------------------------------------------------


def _answer(exchange: PaperExchange, request: httpx.Request) -> httpx.Response:
    path, _, query = request.url.raw_path.partition(b"?")
    status, reply = exchange.handle(request.method, path.decode(), query, request.read(), request.headers)
    headers = {"content-type": "application/json", "content-length": str(len(reply))}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(reply))


def _public_call(request: httpx.Request) -> Call | None:
    """The call, if it is one of PASSED_METHODS beyond doubt: by its path, and nothing in it names another method."""
    path, _, query = request.url.raw_path.partition(b"?")
    if path not in PASSED_PATHS:
        return None
    try:
        call = read_call(request.method, path.decode(), query.decode(), request.read())
    except (RpcError, UnicodeDecodeError):
        return None
    is_consistent = "method" not in call.params and _body_method(request) in (None, call.method)
    return call if is_consistent else None


def _body_method(request: httpx.Request) -> object:
    body = request.read()
    return json.loads(body).get("method") if body.strip() else None


def _without_credentials(request: httpx.Request) -> httpx.Request:
    headers = [(name, value) for name, value in request.headers.items() if name != "authorization"]
    return httpx.Request(
        request.method, request.url, headers=headers, content=request.read(), extensions=request.extensions
    )


def _decoded(headers: httpx.Headers, raw: bytes) -> bytes:
    try:
        return httpx.Response(httpx.codes.OK, headers=headers, content=raw).content
    except httpx.DecodingError:
        return b""
