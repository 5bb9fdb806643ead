"""A client that can only look: Deribit's public history over GET, without keys, cookies, redirects or proxies.

In: one of the questions below with its parameters. Out: the result in Deribit's own JSON. Talks to www.deribit.com,
history.deribit.com and this machine, nowhere else. Waits its turn before every request, slows down when told that it is
too fast, tries again with growing pauses; what does not come then is a DeribitError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx

from core.settings.values import LOOPBACK_HOSTS
from core.text import quotable
from deribit.envelope import read_envelope, result_of
from deribit.error_codes import RATE_LIMIT_CODE
from deribit.replies import Row
from deribit.wire import network_transport
from models import (
    Clock,
    ConfigurationError,
    DeribitConnectionError,
    DeribitError,
    InvalidReplyError,
    RateLimitError,
    RequestRefusedError,
    WrongEnvironmentError,
)

MAIN_HOST = "www.deribit.com"
HISTORY_HOST = "history.deribit.com"
ATTEMPTS = 8
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
MOST_SLOWED = 16.0  # times the usual pause
REPLY_DEADLINE_SECONDS = 120.0
MAX_REPLY_BYTES = 300_000_000  # all expired options of a coin come in one reply
# Busy, settling, in maintenance or broken inside: all pass by themselves.
PASSING_CODES = frozenset({10040, 10041, 10047, 10066, 11051, 11094, 13028})

HostName = Literal["main", "history"]


class Question(NamedTuple):
    """A method, the host that answers it in full, and the seconds to leave between two of them."""

    method: str
    host: HostName
    pause_seconds: float


# The main host has trades of the last 24 hours only and says nothing about it; the history host answers 400 to DVOL.
CANDLES = Question("public/get_tradingview_chart_data", "main", 0.25)
DVOL = Question("public/get_volatility_index_data", "main", 0.25)
DELIVERY_PRICES = Question("public/get_delivery_prices", "main", 0.25)
LISTED_INSTRUMENTS = Question("public/get_instruments", "main", 1.0)
EXPIRED_INSTRUMENTS = Question("public/get_instruments", "history", 1.0)
TRADES = Question("public/get_last_trades_by_currency_and_time", "history", 0.5)


@dataclass(frozen=True)
class Addresses:
    """Where the two hosts are; only a server on this machine may stand in for them. Raises ConfigurationError."""

    main: str = f"https://{MAIN_HOST}"
    history: str = f"https://{HISTORY_HOST}"

    def __post_init__(self) -> None:
        for address in (self.main, self.history):
            if not _is_allowed(address):
                raise ConfigurationError(
                    f"{address}: data comes from https://{MAIN_HOST}, https://{HISTORY_HOST} or this machine alone"
                )


def _is_allowed(address: str) -> bool:
    parts = urlsplit(address)
    if parts.username is not None or parts.hostname is None:
        return False
    if parts.hostname in LOOPBACK_HOSTS:
        return parts.scheme in ("http", "https")
    return parts.scheme == "https" and parts.netloc in (MAIN_HOST, HISTORY_HOST)


class TooFastError(RateLimitError):
    """Too many requests; `wait_seconds` is what the exchange asked for, 0 where it did not say."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(message)


class PublicClient:
    """Asks one question at a time. Close it after use."""

    def __init__(self, clock: Clock, addresses: Addresses | None = None) -> None:
        self.clock = clock
        self.requests_sent = 0
        self._addresses = addresses or Addresses()
        self._free_at = {"main": -math.inf, "history": -math.inf}  # seconds of the clock that never steps back
        self._slowed = {"main": 1.0, "history": 1.0}
        self._http = httpx.Client(
            transport=network_transport(),
            timeout=30.0,
            follow_redirects=False,
            trust_env=False,
            event_hooks={"request": [_guard_request]},
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, question: Question, params: Mapping[str, str | int]) -> Any:
        """The result. Raises DeribitError after ATTEMPTS passing failures, at once where trying again cannot help."""
        for attempt in range(1, ATTEMPTS + 1):
            self._wait_for_turn(question)
            try:
                return self._ask_once(question, params)
            except DeribitError as error:
                if attempt == ATTEMPTS or not _passes(error):
                    raise
                self._wait_after(error, question.host, attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait_for_turn(self, question: Question) -> None:
        now = self.clock.monotonic()
        if now < self._free_at[question.host]:
            self.clock.sleep(self._free_at[question.host] - now)
        pause = question.pause_seconds * self._slowed[question.host]
        self._free_at[question.host] = self.clock.monotonic() + pause

    def _wait_after(self, error: DeribitError, host: HostName, attempt: int) -> None:
        told = 0.0
        if isinstance(error, TooFastError):
            told = error.wait_seconds
            self._slowed[host] = min(2.0 * self._slowed[host], MOST_SLOWED)  # and so it stays for this run
        own = min(FIRST_BACKOFF_SECONDS * 2.0 ** (attempt - 1), LONGEST_WAIT_SECONDS)
        self.clock.sleep(max(own, min(told, 10.0 * LONGEST_WAIT_SECONDS)))

    # --- one request ------------------------------------------------------------------

    def _ask_once(self, question: Question, params: Mapping[str, str | int]) -> Any:
        self.requests_sent += 1
        self._http.cookies.clear()
        try:
            status, headers, content = self._get(question, params)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"{type(error).__name__}: {quotable(error)}"
            raise DeribitConnectionError(f"{question.method}: {why}") from None
        return _result(question.method, status, headers, content)

    def _get(self, question: Question, params: Mapping[str, str | int]) -> tuple[int, httpx.Headers, bytes]:
        address = self._addresses.main if question.host == "main" else self._addresses.history
        ends_at = self.clock.monotonic() + REPLY_DEADLINE_SECONDS
        request = self._http.build_request("GET", f"{address}/api/v2/{question.method}", params=params)
        content = bytearray()
        with closing(self._http.send(request, stream=True)) as response:
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_REPLY_BYTES or self.clock.monotonic() > ends_at:
                    raise DeribitConnectionError(f"{question.method}: the reply is too large or too slow")
            return response.status_code, response.headers, bytes(content)


def _guard_request(request: httpx.Request) -> None:
    """The last word on where a request may go and what it may ask."""
    if not _is_allowed(str(request.url.copy_with(path="/", query=None))):
        raise WrongEnvironmentError(f"refused to contact {request.url.host}")
    if request.method != "GET" or not request.url.path.startswith("/api/v2/public/get_"):
        raise WrongEnvironmentError(f"refused to send {request.method} {request.url.path}: only data is asked for")


def _result(method: str, status: int, headers: httpx.Headers, content: bytes) -> Any:
    if 300 <= status < 400:
        raise WrongEnvironmentError(f"{method}: answered with a redirect, which is never followed")
    if status >= 500:
        raise DeribitConnectionError(f"{method}: HTTP {status} from the exchange's gateway")
    if status == 429:
        raise TooFastError(f"{method}: HTTP 429", _seconds(headers.get("retry-after")))
    if status >= 400 and content.lstrip()[:1] != b"{":
        raise RequestRefusedError(method, status, f"HTTP {status} without JSON: refused in front of the exchange")
    envelope = read_envelope(content, method)
    if envelope.get("testnet") is True:
        raise WrongEnvironmentError(f"{method}: this is testnet, whose prices are no market prices")
    _refuse_the_fast(method, envelope)
    return result_of(envelope, method)


def _refuse_the_fast(method: str, envelope: Row) -> None:
    error = envelope.get("error")
    if isinstance(error, dict) and error.get("code") == RATE_LIMIT_CODE:
        data = error.get("data")
        wait = data.get("wait") if isinstance(data, dict) else None
        raise TooFastError(f"{method}: too many requests", _seconds(wait))


def _seconds(value: object) -> float:
    """Seconds to wait as a server puts it; 0 for a date or nonsense."""
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    return seconds if 0.0 <= seconds < math.inf else 0.0


def _passes(error: DeribitError) -> bool:
    """Whether the same request may well succeed in a while."""
    if isinstance(error, RequestRefusedError):
        return error.code in PASSING_CODES
    return isinstance(error, (DeribitConnectionError, RateLimitError, InvalidReplyError))
