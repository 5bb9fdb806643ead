"""A market whose quotes, index and clock a test sets by hand, and short ways to an account and an exchange on it.

Prices of options in coin, index in USD, sizes in coin. The clock stands still until it is told to sleep.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paper_exchange.account.account import PaperAccount
from paper_exchange.account.ledger import LedgerEvent
from paper_exchange.account.orders import Direction, Order, OrderRequest
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock, to_ms
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Bar, DeliveryPrice, Listing, MarketClock, Quote
from paper_exchange.market.names import parse_option_name

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
CALL = "BTC-16JAN26-100000-C"
NEAR_CALL = "BTC-6JAN26-95000-C"
PUT = "BTC-16JAN26-80000-P"
ETH_CALL = "ETH-16JAN26-3600-C"
INDEX_USD = {"BTC": 90_000.0, "ETH": 3_000.0}
HOUR_SECONDS = 3_600.0
SHARED = Path(__file__).resolve().parents[2].parent / "shared"
RECORDED = SHARED / "deribit" / "recorded"


class ScriptedMarket:
    """Shows exactly what a test has put there."""

    kind = "simulated"
    currencies: tuple[str, ...] = ("BTC", "ETH")

    def __init__(self, start: datetime = START) -> None:
        self.clock: MarketClock = SimulatedClock(start)
        self.index_usd: dict[str, float] = dict(INDEX_USD)
        self.known_listings: dict[str, Listing] = {}
        self.known_quotes: dict[str, Quote] = {}
        self.deliveries: dict[tuple[str, int], DeliveryPrice] = {}

    @property
    def now_ms(self) -> int:
        return to_ms(self.clock.now())

    def list_option(self, name: str) -> Listing:
        parts = parse_option_name(name)
        assert parts is not None
        self.known_listings[name] = Listing(
            name=name,
            currency=parts.currency,
            strike_usd=parts.strike_usd,
            expires_at_ms=parts.expires_at_ms,
            is_call=parts.is_call,
            created_at_ms=0,
            settlement_period="week",
            min_trade_amount=MIN_TRADE_AMOUNT[parts.currency],
        )
        return self.known_listings[name]

    def show(self, name: str, bid: float | None, ask: float | None, mark: float = 0.02, **fields: Any) -> None:
        """A new quote, stamped now; amounts are not recorded unless given."""
        if name not in self.known_listings:
            self.list_option(name)
        quote = Quote(name, bid, ask, None, None, mark, 0.5, self.index_usd[name[:3]], "SYN", self.now_ms)
        self.known_quotes[name] = replace(quote, **fields)

    def deliver(self, name: str, price_usd: float, is_approximate: bool = False) -> None:
        listing = self.known_listings[name]
        key = (listing.currency, listing.expires_at_ms)
        self.deliveries[key] = DeliveryPrice(price_usd, is_approximate)

    def sleep_until_expiry(self, name: str, seconds_after: float = 1.0) -> None:
        expires_at_ms = self.known_listings[name].expires_at_ms
        self.clock.sleep((expires_at_ms - self.now_ms) / 1_000.0 + seconds_after)

    # --- the Market protocol ---------------------------------------------------

    def index_price(self, currency: str) -> float | None:
        return self.index_usd.get(currency)

    def listings(self, currency: str) -> Sequence[Listing]:
        found = self.known_listings.values()
        return [option for option in found if option.currency == currency and option.expires_at_ms > self.now_ms]

    def listing(self, name: str) -> Listing | None:
        return self.known_listings.get(name)

    def quote(self, name: str) -> Quote | None:
        return self.known_quotes.get(name)

    def quotes(self, currency: str) -> Sequence[Quote]:
        names = (listing.name for listing in self.listings(currency))
        return [self.known_quotes[name] for name in names if name in self.known_quotes]

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        return self.deliveries.get((currency, expires_at_ms))

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        return []

    def volatility_index_bars(self, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
        return []


# --- accounts ------------------------------------------------------------------


def market_with(name: str = CALL, bid: float | None = 0.02, ask: float | None = 0.021, **more: Any) -> ScriptedMarket:
    """A market that shows one option."""
    market = ScriptedMarket()
    market.show(name, bid, ask, **more)
    return market


def account_on(market: ScriptedMarket, **balances_coin: float) -> PaperAccount:
    """An account with 10 BTC and 100 ETH, or what is given."""
    account = PaperAccount(market, balances_coin or None)
    account.advance()
    return account


def record_events(account: PaperAccount) -> list[LedgerEvent]:
    """The list that every later event of the account is added to."""
    events: list[LedgerEvent] = []
    account.observers.append(events.append)
    return events


def place(
    account: PaperAccount, direction: Direction, amount: float, price: float | None, name: str = CALL, **fields: Any
) -> Order:
    """Place an order and give it back as it stands after arrival."""
    account.advance()
    order, _ = account.submit(OrderRequest(name, direction, amount, price, **fields))
    return order


def account_short(amount: float = 1.0, name: str = CALL, price: float = 0.02) -> tuple[ScriptedMarket, PaperAccount]:
    """An account that has sold an option."""
    market = market_with(name, bid=price, ask=price + 0.001)
    account = account_on(market)
    place(account, "sell", amount, price, name)
    return market, account


# --- exchanges -----------------------------------------------------------------


class Caller:
    """Calls a paper exchange by GET with a query or by POST with a body, and reads the reply."""

    def __init__(self, exchange: PaperExchange, authorization: str | None = "Basic cGFwZXI6c2VjcmV0") -> None:
        self.exchange = exchange
        self.headers = {} if authorization is None else {"Authorization": authorization}

    def get(self, method: str, query: str = "") -> tuple[int, dict[str, Any]]:
        return self.send("GET", f"/api/v2/{method}", query, b"")

    def post(self, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.send("POST", f"/api/v2/{method}", "", json.dumps(request).encode())

    def send(self, http_method: str, path: str, query: str, body: bytes) -> tuple[int, dict[str, Any]]:
        status, reply = self.exchange.handle(http_method, path, query, body, self.headers)
        return status, json.loads(reply)

    def result(self, method: str, **params: Any) -> Any:
        status, reply = self.post(method, **params)
        assert status == 200, reply
        return reply["result"]

    def error(self, method: str, **params: Any) -> dict[str, Any]:
        status, reply = self.post(method, **params)
        assert status == 400, reply
        error: dict[str, Any] = reply["error"]
        return error


def exchange_on(market: ScriptedMarket, **arguments: Any) -> PaperExchange:
    """A paper exchange with a fresh account."""
    return PaperExchange(market, PaperAccount(market), **arguments)


def recorded(name: str) -> Any:
    """A recorded reply of Deribit. Skips the test where the recordings are not there."""
    path = RECORDED / name
    if not path.exists():
        pytest.skip("recorded replies are not part of the project")
    return json.loads(path.read_text(encoding="utf-8"))
