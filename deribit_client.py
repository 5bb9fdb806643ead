"""Synchronous wrapper over Deribit's JSON-RPC: typed models out, orders through one function.

In: method calls. Out: models of models.py; deribit_replies.py says what each reply means. Talks to Deribit, or to the
paper exchange through the httpx transport it is given. Reads are retried inside a deadline; an order is put on the
wire once and only after it was written to the order log. Only testnet and this machine are ever contacted: no
redirects, no proxies.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from time import monotonic
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr, ValidationError

import deribit_replies as replies
from config import LOOPBACK_HOSTS, TESTNET_HOST, AgentConfig
from deribit_replies import Row, ms_from_utc, rows
from models import (
    AgentError,
    ApiCall,
    AuthenticationError,
    Clock,
    CoinAccount,
    DeribitConnectionError,
    DeribitError,
    InvalidReplyError,
    LedgerEntry,
    LogWriteError,
    MarginQuote,
    OptionInstrument,
    OptionQuote,
    Order,
    OrderBook,
    OrderLog,
    OrderReceipt,
    OrderRequest,
    PriceBar,
    RateLimitError,
    RawPosition,
    RequestRefusedError,
    SendOutcome,
    Ticker,
    Trade,
    WrongEnvironmentError,
)

READ_ATTEMPTS = 3
READ_DEADLINE_SECONDS = 20.0
BACKOFF_SECONDS = (0.5, 1.0)
MAX_LEDGER_PAGES = 10
MIN_SECRET_LETTERS = 6  # shorter values stand in ordinary words; real ids have eight letters
MAX_REPLY_BYTES = 5_000_000
KEEP_ALIVE_SECONDS = 14 * 60.0  # Deribit drops idle connections after 15 minutes
ORDER_LIFETIME_SECONDS = 10.0  # valid_until: later than this the exchange refuses to execute
TOKEN_MARGIN_SECONDS = 60.0
# "session:" so that the token outlives a dropped connection; no more rights are asked for than the agent uses.
SCOPE = "session:covered-call trade:read_write account:read wallet:none"

TOKEN_CODES = frozenset({10000, 13009})
RETRIED_READ_CODES = frozenset({10040, 10041, 10047, 10066, 11094, 13028})
# Answers after which an order surely does not exist; every other failure of an order leaves it unknown.
DEFINITIVE_REFUSALS = frozenset(
    {
        -32600,
        -32601,
        -32602,
        -32000,
        10000,
        10002,
        10003,
        10004,
        10005,
        10006,
        10007,
        10008,
        10009,
        10010,
        10011,
    }
    | {10012, 10019, 10020, 10021, 10022, 10023, 10025, 10026, 10029, 10031, 10032, 10036, 10037, 10039}
    | {10040, 10041, 10043, 10047, 10066, 10072, 11029, 11030, 11042, 11044, 11051, 11054, 11055, 11098}
    | {13009, 13010, 13011, 13016, 13019, 13020, 13021, 13025, 13403, 13503}
)

Result = TypeVar("Result")
Reader = Callable[[Any], Result]


class SystemClock:
    """The real time. `stop` wakes a sleeper, for a clean end on a signal."""

    def __init__(self) -> None:
        self._stopped = Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> None:
        self._stopped.wait(max(0.0, seconds))

    def wait_for_next(self, interval_seconds: float) -> bool:
        self.sleep(interval_seconds)
        return not self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()


class DeribitClient:
    """One connection to one exchange. Not thread-safe; the agent uses one at a time.

    `transport` puts another exchange (paper, simulated, recorded) in place of the network. Without an `order_log`
    no order can be sent. `credentials` replace the configured key (a paper account never sees the real one).
    Methods raise the errors of models.py, never httpx's own.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
        order_log: OrderLog | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self._config = config
        self._clock: Clock = SystemClock() if clock is None else clock
        self._order_log = order_log
        self._dice = random.Random(config.agent.seed)
        self._credentials = _credentials(config) if credentials is None else tuple(map(SecretStr, credentials))
        self._http = _http_client(config, transport)
        self._server_ahead = timedelta(0)
        self._token: SecretStr | None = None
        self._token_ends_at_seconds = 0.0
        self._request_id = 0
        self._calls: list[ApiCall] = []
        self.granted_scope = ""

    def close(self) -> None:
        self._http.close()

    def server_now(self) -> datetime:
        """The exchange's time, from the last reply; the local clock until there was one."""
        return self._clock.now() + self._server_ahead

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def requests_made(self) -> int:
        """Requests since take_calls was last asked, retries included."""
        return sum(call.attempts for call in self._calls)

    def take_calls(self) -> tuple[ApiCall, ...]:
        """The requests made since this was last asked, for the log."""
        calls, self._calls = tuple(self._calls), []
        return calls

    # --- public -------------------------------------------------------------

    def get_time(self) -> datetime:
        return self._read("public/get_time", {}, replies.utc_from_ms)

    def get_locked_status(self) -> str:
        """\"false\" when trading is open, else "true" or "partial"."""
        return self._read("public/status", {}, lambda result: str(Row(result).need("locked")).lower())

    def get_index_price(self, currency: str) -> float:
        """Index in USD, always above zero."""
        params = {"index_name": f"{currency.lower()}_usd"}
        return self._read("public/get_index_price", params, replies.read_index_price)

    def get_instruments(self, currency: str) -> dict[str, OptionInstrument]:
        """All live coin-settled options of a currency, by symbol."""
        params = {"currency": currency, "kind": "option", "expired": False}
        return self._read("public/get_instruments", params, replies.read_instruments)

    def get_instrument(self, symbol: str) -> OptionInstrument | None:
        """One instrument, also an expired one; None where it is not a plain BTC or ETH option."""
        params = {"instrument_name": symbol}
        return self._read("public/get_instrument", params, lambda result: replies.read_instrument(Row(result)))

    def get_book_summaries(self, currency: str) -> tuple[OptionQuote, ...]:
        """The whole option chain in one request."""
        params = {"currency": currency, "kind": "option"}
        return self._read("public/get_book_summary_by_currency", params, replies.read_quotes)

    def get_ticker(self, symbol: str) -> Ticker:
        params = {"instrument_name": symbol}
        return self._read("public/ticker", params, lambda result: replies.read_ticker(Row(result)))

    def get_order_book(self, symbol: str, depth: int = 5) -> OrderBook:
        params = {"instrument_name": symbol, "depth": depth}
        return self._read("public/get_order_book", params, lambda result: replies.read_order_book(Row(result)))

    def get_bars(self, currency: str, start_at: datetime, end_at: datetime, minutes: int = 60) -> tuple[PriceBar, ...]:
        """Candles of the coin's perpetual, oldest first; empty where the exchange has none."""
        params = {
            "instrument_name": f"{currency}-PERPETUAL",
            "start_timestamp": ms_from_utc(start_at),
            "end_timestamp": ms_from_utc(end_at),
            "resolution": str(minutes),
        }
        method = "public/get_tradingview_chart_data"
        return self._read(method, params, lambda result: replies.read_bars(Row(result)))

    def get_dvol(self, currency: str, start_at: datetime, end_at: datetime) -> float | None:
        """Deribit's volatility index at its last hourly close, as a fraction; None where there is none."""
        params = {
            "currency": currency,
            "start_timestamp": ms_from_utc(start_at),
            "end_timestamp": ms_from_utc(end_at),
            "resolution": "3600",
        }
        return self._read("public/get_volatility_index_data", params, replies.read_dvol)

    # --- private reads --------------------------------------------------------

    def get_open_orders(self) -> tuple[Order, ...]:
        """All resting orders of the account, whoever placed them."""
        return self._read("private/get_open_orders", {"kind": "option"}, _each(replies.read_order))

    def get_positions(self) -> tuple[RawPosition, ...]:
        """All positions of the account that are not flat, of every kind."""
        found = self._read("private/get_positions", {"currency": "any"}, _each(replies.read_position))
        return tuple(position for position in found if position.size != 0.0)

    def get_account_summaries(self) -> tuple[CoinAccount, ...]:
        """The BTC and ETH accounts."""
        return self._read("private/get_account_summaries", {"extended": False}, replies.read_accounts)

    def get_account_summary(self, currency: str) -> CoinAccount:
        params = {"currency": currency}
        return self._read("private/get_account_summary", params, lambda result: replies.read_account(Row(result)))

    def get_order_state(self, order_id: str) -> Order:
        params = {"order_id": order_id}
        return self._read("private/get_order_state", params, lambda result: replies.read_order(Row(result)))

    def get_orders_by_label(self, currency: str, label: str) -> tuple[Order, ...]:
        """Recent orders with this label. Empty proves nothing for orders older than 30 minutes."""
        params = {"currency": currency, "label": label}
        return self._read("private/get_order_state_by_label", params, _each(replies.read_order))

    def get_trades_of_order(self, order_id: str) -> tuple[Trade, ...]:
        params = {"order_id": order_id}
        return self._read("private/get_user_trades_by_order", params, replies.read_trades)

    def get_margins(self, symbol: str, amount_coin: float, price_coin: float) -> MarginQuote:
        params = {"instrument_name": symbol, "amount": amount_coin, "price": price_coin}
        return self._read("private/get_margins", params, lambda result: replies.read_margins(Row(result)))

    def get_transaction_log(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[LedgerEntry, ...]:
        """What moved the balance in a time span, oldest first: trades, deliveries, transfers."""
        params: dict[str, Any] = {
            "currency": currency,
            "start_timestamp": ms_from_utc(start_at),
            "end_timestamp": ms_from_utc(end_at),
            "count": 250,
        }

        def read_page(result: Any) -> tuple[tuple[LedgerEntry, ...], Any]:
            return replies.read_ledger(Row(result), currency), Row(result).get("continuation")

        entries: list[LedgerEntry] = []
        for _ in range(MAX_LEDGER_PAGES):
            page, continuation = self._read("private/get_transaction_log", params, read_page)
            entries += page
            if continuation is None:
                return tuple(sorted(entries, key=lambda entry: entry.booked_at))
            params["continuation"] = continuation
        raise InvalidReplyError(f"the transaction log of {currency} has more than {MAX_LEDGER_PAGES} pages")

    # --- orders ---------------------------------------------------------------

    def place_limit_order(self, request: OrderRequest) -> OrderReceipt:
        """Send one limit order, once. Never raises for what the exchange or the network does."""
        return self._send_order(request)

    def edit_order(self, order: Order, price_coin: float) -> OrderReceipt:
        """Move a resting order to another price, its amount unchanged; written to the order log first."""
        problem = self._reason_to_send_nothing()
        if problem is not None:
            return OrderReceipt(outcome=SendOutcome.NOT_SENT, error=problem)
        params = {"order_id": order.order_id, "amount": order.amount_coin, "price": price_coin}
        try:
            self._log_order("edit", {"label": order.label, "at": self.server_now().isoformat(), **params})
        except LogWriteError as error:
            return OrderReceipt(outcome=SendOutcome.NOT_SENT, error=str(error))
        return self._write("private/edit", params | self._deadline_params())

    def cancel_order(self, order_id: str) -> OrderReceipt:
        """Take an order back. REJECTED (11044) means that it was no longer open: read it again."""
        return self._write("private/cancel", {"order_id": order_id})

    def cancel_all(self) -> int:
        """Cancel every resting order of the account, foreign ones too; how many there were."""
        return self._read("private/cancel_all", {}, int)

    def _send_order(self, request: OrderRequest) -> OrderReceipt:
        """The only way to an order: nothing else in the project names private/buy or private/sell."""
        problem = self._reason_not_to_send(request)
        if problem is not None:
            return OrderReceipt(outcome=SendOutcome.NOT_SENT, error=problem)
        deadline = self._deadline_params()
        intent = request.model_dump() | deadline | {"sent_at": self.server_now().isoformat()}
        try:
            self._log_order("intent", intent)
        except LogWriteError as error:
            return OrderReceipt(outcome=SendOutcome.NOT_SENT, error=str(error))
        method = "private/sell" if request.direction == "sell" else "private/buy"
        receipt = self._write(method, _order_params(request) | deadline)
        self._log_outcome(request, receipt)
        return receipt

    def _reason_not_to_send(self, request: OrderRequest) -> str | None:
        """The last look before an order leaves, whatever came before."""
        problem = self._reason_to_send_nothing()
        if problem is not None:
            return problem
        strategy = self._config.strategy(request.symbol[:3])
        if request.amount_coin > strategy.max_order_size:
            return f"{request.amount_coin:g} is above max_order_size {strategy.max_order_size:g}"
        return None

    def _reason_to_send_nothing(self) -> str | None:
        if self._order_log is None:
            return "there is no order log: no line, no order"
        if self._config.risk.kill_file.exists():
            return f"the kill file {self._config.risk.kill_file.name} exists"
        return None

    def _deadline_params(self) -> dict[str, int]:
        return {"valid_until": ms_from_utc(self.server_now() + timedelta(seconds=ORDER_LIFETIME_SECONDS))}

    def _log_order(self, event: str, values: dict[str, Any]) -> None:
        if self._order_log is not None:
            self._order_log.write({"event": event, **values})

    def _log_outcome(self, request: OrderRequest, receipt: OrderReceipt) -> None:
        """The order is out: a line that cannot be written now must not hide what became of it."""
        values = {"label": request.label, "at": self.server_now().isoformat()}
        try:
            self._log_order("outcome", values | receipt.model_dump(mode="json"))
        except LogWriteError as error:
            self._calls.append(ApiCall(method="order_log", outcome=str(error)))

    def _write(self, method: str, params: dict[str, Any]) -> OrderReceipt:
        """One request that moves an order, put on the wire once; what is known afterwards."""
        try:
            self._ensure_token()
        except DeribitError as error:
            return self._failed_write(method, SendOutcome.NOT_SENT, error)
        try:
            return self._accepted(method, self._call_once(method, params, _read_receipt))
        except DeribitError as error:
            return self._failed_write(method, _outcome_after(error), error)

    def _accepted(self, method: str, receipt: OrderReceipt) -> OrderReceipt:
        order = None if receipt.order is None else receipt.order.model_dump(mode="json")
        self._calls.append(ApiCall(method=method, outcome=receipt.outcome, detail={"order": order}))
        return receipt

    def _failed_write(self, method: str, outcome: SendOutcome, error: DeribitError) -> OrderReceipt:
        self._calls.append(ApiCall(method=method, outcome=f"{outcome}: {error}"))
        return OrderReceipt(outcome=outcome, error=str(error))

    # --- reading, with retries ----------------------------------------------------

    def _read(self, method: str, params: dict[str, Any], reader: Reader[Result]) -> Result:
        """Ask until there is a usable answer, at most READ_ATTEMPTS times within READ_DEADLINE_SECONDS."""
        started = self._clock.monotonic()
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                if method.startswith("private/"):
                    self._ensure_token()
                value = self._call_once(method, params, reader)
            except DeribitError as error:
                elapsed = self._clock.monotonic() - started
                if attempt == READ_ATTEMPTS or elapsed > READ_DEADLINE_SECONDS or not _worth_a_retry(error):
                    self._note(method, str(error), attempt, started)
                    raise
                self._clock.sleep(BACKOFF_SECONDS[attempt - 1] * self._dice.uniform(0.75, 1.25))
            else:
                self._note(method, "ok", attempt, started)
                return value
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _note(self, method: str, outcome: str, attempts: int, started: float) -> None:
        elapsed_ms = round((self._clock.monotonic() - started) * 1000.0, 1)
        self._calls.append(ApiCall(method=method, outcome=outcome[:300], attempts=attempts, duration_ms=elapsed_ms))

    # --- authentication -------------------------------------------------------------

    def authenticate(self) -> None:
        """Get a token; raises AuthenticationError where the key is missing or not accepted."""
        client_id, client_secret = (secret.get_secret_value() for secret in self._credentials)
        params = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        if not client_id or not client_secret:
            raise AuthenticationError("DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET are not set")
        token = self._call_once("public/auth", params | {"scope": SCOPE}, Row)
        self.granted_scope = str(token.get("scope", ""))
        if "wallet:read_write" in self.granted_scope.split():
            raise AuthenticationError("this key may withdraw (wallet:read_write): make one that may only trade")
        access_token = str(token.need("access_token"))
        if not (access_token.isascii() and access_token.isprintable()):
            raise InvalidReplyError("public/auth: the token is not plain text")
        self._token = SecretStr(access_token)
        lifetime_seconds = replies.finite(token.need("expires_in")) - TOKEN_MARGIN_SECONDS
        self._token_ends_at_seconds = self._clock.monotonic() + lifetime_seconds
        self._calls.append(ApiCall(method="public/auth", outcome="ok"))

    def _ensure_token(self) -> None:
        if self._token is None or self._clock.monotonic() >= self._token_ends_at_seconds:
            self.authenticate()

    def _authorization(self) -> dict[str, str]:
        return {} if self._token is None else {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    # --- one request ------------------------------------------------------------------

    def _call_once(self, method: str, params: dict[str, Any], reader: Reader[Result]) -> Result:
        """Exactly one HTTP request; everything foreign that can go wrong is translated here."""
        self._request_id += 1
        body = {"jsonrpc": "2.0", "id": self._request_id, "method": method, "params": params}
        headers = self._authorization() if method.startswith("private/") else {}
        try:
            status, content = self._post(method, body, headers)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
            raise self._redacted(_translated(method, error)) from None
        try:
            problem = _problem_of_status(method, status, content)
            if problem is not None:
                raise problem
            envelope = replies.read_envelope(content, method, self._request_id)
            self._look_at(envelope)
            return reader(replies.result_of(envelope, method))
        except RequestRefusedError as error:
            if error.code in TOKEN_CODES:
                self._token = None  # the next attempt, or the next iteration, asks for a new one
            raise self._redacted(error) from None
        except DeribitError as error:
            raise self._redacted(error) from None
        except (ValidationError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise self._redacted(InvalidReplyError(f"{method}: {_short(error)}")) from None

    def _redacted(self, error: AgentError) -> AgentError:
        """The error without id, secret and token in its words: a server may echo what it was sent."""
        hidden = [*self._credentials, *([self._token] if self._token is not None else [])]
        for name in ("message", "reason"):
            if isinstance(getattr(error, name, None), str):
                setattr(error, name, _without(hidden, getattr(error, name)))
        error.args = tuple(_without(hidden, str(part)) for part in error.args)
        return error

    def _post(self, method: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes]:
        ends_at = self._clock.monotonic() + READ_DEADLINE_SECONDS
        content = bytearray()
        with self._http.stream("POST", f"/api/v2/{method}", json=body, headers=headers) as response:
            if response.has_redirect_location:
                raise WrongEnvironmentError(f"{method}: the exchange answered with a redirect, which is never followed")
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_REPLY_BYTES or self._clock.monotonic() > ends_at:
                    raise InvalidReplyError(f"{method}: the reply is too large or too slow")
            return response.status_code, bytes(content)

    def _look_at(self, envelope: Row) -> None:
        """Every reply says which exchange it came from and what time it is there."""
        if envelope.get("testnet") is False:
            raise WrongEnvironmentError(
                "the exchange says that it is not testnet: stopped before anything else is sent"
            )
        sent_at_us = envelope.get("usOut")
        if isinstance(sent_at_us, int):
            self._server_ahead = replies.utc_from_ms(sent_at_us // 1000) - self._clock.now()


def _without(hidden: list[SecretStr], text: str) -> str:
    for secret in hidden:
        value = secret.get_secret_value()
        text = text.replace(value, "***") if len(value) >= MIN_SECRET_LETTERS else text
    return text


def _credentials(config: AgentConfig) -> tuple[SecretStr, ...]:
    """Id and secret, kept as secrets so that no dump of an object shows them; blank where not set."""
    return tuple(secret or SecretStr("") for secret in (config.deribit.client_id, config.deribit.client_secret))


def _http_client(config: AgentConfig, transport: httpx.BaseTransport | None) -> httpx.Client:
    return httpx.Client(
        base_url=config.deribit.base_url,
        transport=network_transport() if transport is None else transport,
        timeout=config.deribit.timeout_seconds,
        follow_redirects=False,
        trust_env=False,
        event_hooks={"request": [_guard_host]},
    )


def network_transport() -> httpx.HTTPTransport:
    """The real network: certificates checked, one more try to connect (nothing has been sent then)."""
    limits = httpx.Limits(max_connections=4, keepalive_expiry=KEEP_ALIVE_SECONDS)
    return httpx.HTTPTransport(retries=1, limits=limits, trust_env=False)


def _guard_host(request: httpx.Request) -> None:
    """The last word on where a request may go, on the address that is really used."""
    is_testnet = request.url.host == TESTNET_HOST and request.url.scheme == "https"
    if not is_testnet and request.url.host.strip("[]") not in LOOPBACK_HOSTS:
        raise WrongEnvironmentError(f"refused to contact {request.url.host}: only testnet and this machine are allowed")


def _translated(method: str, error: Exception) -> AgentError:
    """Our error for one of httpx's; only failures before the first byte count as surely not sent."""
    if _is_bad_certificate(error):
        return WrongEnvironmentError(f"{method}: the certificate of the exchange is not valid")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        hint = "--market simulated needs no network"
        return DeribitConnectionError(f"{method}: cannot reach the exchange ({_short(error)}); {hint}", was_sent=False)
    return DeribitConnectionError(f"{method}: {_short(error)}")


def _is_bad_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _problem_of_status(method: str, status: int, content: bytes) -> DeribitError | None:
    """What the HTTP status alone says; 400 with a JSON body is Deribit's normal way to refuse."""
    if status >= 500:
        return DeribitConnectionError(f"{method}: HTTP {status} from the exchange's gateway", was_sent=True)
    if content.lstrip()[:1] == b"{":
        return None
    if status == 429:
        return RateLimitError(f"{method}: HTTP 429")
    if status in (401, 403):
        return RequestRefusedError(method, 13009, f"HTTP {status}")
    return InvalidReplyError(f"{method}: HTTP {status} without JSON")


def _worth_a_retry(error: DeribitError) -> bool:
    if isinstance(error, RequestRefusedError):
        return error.code in RETRIED_READ_CODES | TOKEN_CODES
    return isinstance(error, (DeribitConnectionError, InvalidReplyError))


def _outcome_after(error: DeribitError) -> SendOutcome:
    """What is known of an order whose request failed; unknown unless surely otherwise."""
    if isinstance(error, DeribitConnectionError) and not error.was_sent:
        return SendOutcome.NOT_SENT
    if isinstance(error, RequestRefusedError) and error.code in DEFINITIVE_REFUSALS:
        return SendOutcome.REJECTED
    if isinstance(error, (RateLimitError, AuthenticationError)):
        return SendOutcome.REJECTED
    return SendOutcome.UNKNOWN


def _read_receipt(result: Any) -> OrderReceipt:
    """buy, sell and edit answer with order and trades, cancel with the order alone."""
    row = Row(result)
    order = replies.read_order(Row(row.get("order", result)))
    trades = tuple(replies.read_trade(trade) for trade in row.rows("trades"))
    outcome = SendOutcome.REJECTED if order.order_state == "rejected" else SendOutcome.ACCEPTED
    return OrderReceipt(outcome=outcome, order=order, trades=trades)


def _order_params(request: OrderRequest) -> dict[str, Any]:
    return {
        "instrument_name": request.symbol,
        "amount": request.amount_coin,
        "type": "limit",
        "price": request.price_coin,
        "label": request.label,
        "time_in_force": "good_til_day",  # the dead man's switch: nothing of ours outlives 08:00 UTC
        "post_only": False,
        "reduce_only": request.reduce_only,
    }


def _each(reader: Callable[[Row], Result]) -> Reader[tuple[Result, ...]]:
    return lambda result: tuple(reader(row) for row in rows(result))


def _short(error: Exception) -> str:
    """One line about a foreign error; never the input of a validation error, which may be anything."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return f"{type(error).__name__}: {str(error)[:200]}"
