"""The real testnet as a source of quotes: it learns them from the replies that pass by.

In: method, parameters and raw reply of public calls (Deribit's JSON, read leniently and on its own). Out: the
`Market` the paper account trades on; coin, USD, fractions, milliseconds. Asks nobody, knows only what was seen;
garbage is ignored. The clock is handed in, and corrected to the time in the replies.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paper_exchange.market.clocks import HOUR_MS, MINUTE_MS, YEAR_MS, FollowingClock, from_ms, now_ms
from paper_exchange.market.market import Bar, DeliveryPrice, Listing, MarketClock, Quote
from paper_exchange.market.names import currency_of
from paper_exchange.testnet.rows import Row, delivery_of_row, listing_of_row, number, quote_of_row, rows_of

DELIVERY_WINDOW_MS = 30 * MINUTE_MS
# Until then the official price is waited for; it is published within minutes.
APPROXIMATE_AFTER_MS = 10 * MINUTE_MS
LISTING_KEPT_MS = 14 * 24 * HOUR_MS
INDEX_PRICES_KEPT = 10_000
LATEST_US = 230 * YEAR_MS * 1000  # a time beyond the year 2200 is garbage


class TestnetMarket:
    """What has been seen of testnet. Has no candles: those are passed through, not read."""

    __test__ = False  # pytest: not a test, whatever the name says
    kind = "testnet"

    def __init__(self, clock: MarketClock, currencies: tuple[str, ...] = ("BTC", "ETH")) -> None:
        self._time = FollowingClock(clock)
        self.clock: MarketClock = self._time
        self.currencies = currencies
        self._listings: dict[str, Listing] = {}
        self._quotes: dict[str, Quote] = {}
        self._index: dict[str, deque[tuple[int, float]]] = {
            currency: deque(maxlen=INDEX_PRICES_KEPT) for currency in currencies
        }
        self._deliveries: dict[tuple[str, int], float] = {}
        self._readers: dict[str, Callable[[Mapping[str, Any], Any], None]] = {
            "public/get_instruments": self._read_instruments,
            "public/get_instrument": self._read_instruments,
            "public/get_book_summary_by_currency": self._read_quotes,
            "public/get_book_summary_by_instrument": self._read_quotes,
            "public/ticker": self._read_quotes,
            "public/get_order_book": self._read_quotes,
            "public/get_index_price": self._read_index,
            "public/get_delivery_prices": self._read_deliveries,
        }

    @property
    def knows_the_time(self) -> bool:
        """Whether a reply has said what time it is on testnet."""
        return self._time.has_followed

    # --- learning --------------------------------------------------------------

    def observe(self, method: str, params: Mapping[str, Any], reply: bytes) -> None:
        """Learn from a reply going by. Never raises: what cannot be understood teaches nothing."""
        try:
            envelope = json.loads(reply)
        except (ValueError, RecursionError):
            return
        if not isinstance(envelope, dict):
            return
        self._read_time(envelope.get("usOut"))
        reader = self._readers.get(method)
        if reader is not None:
            reader(params, envelope.get("result"))

    def _read_time(self, sent_at_us: object) -> None:
        if isinstance(sent_at_us, int) and 0 < sent_at_us < LATEST_US:
            self._time.follow(from_ms(sent_at_us // 1000))

    def _read_instruments(self, params: Mapping[str, Any], result: Any) -> None:  # noqa: ARG002
        for row in rows_of(result):
            listing = listing_of_row(row)
            if listing is not None and listing.currency in self.currencies:
                self._listings[listing.name] = listing
        self._forget_old()

    def _read_quotes(self, params: Mapping[str, Any], result: Any) -> None:  # noqa: ARG002
        for row in rows_of(result):
            quote = quote_of_row(row, now_ms(self.clock))
            known = None if quote is None else self._quotes.get(quote.name)
            if quote is None or (known is not None and known.timestamp_ms > quote.timestamp_ms):
                continue
            self._quotes[quote.name] = quote
            self._note_index(currency_of(quote.name), _index_in(row))

    def _read_index(self, params: Mapping[str, Any], result: Any) -> None:
        for row in rows_of(result):
            self._note_index(_currency_of_index(params), number(row, "index_price"))

    def _read_deliveries(self, params: Mapping[str, Any], result: Any) -> None:
        data = result.get("data") if isinstance(result, dict) else None
        for row in rows_of(data):
            delivery = delivery_of_row(row)
            if delivery is not None:
                expires_at_ms, price_usd = delivery
                self._deliveries[(_currency_of_index(params), expires_at_ms)] = price_usd

    def _note_index(self, currency: str, price_usd: float | None) -> None:
        seen = self._index.get(currency)
        if seen is None or price_usd is None or price_usd <= 0.0:
            return
        if not seen or seen[-1] != (now_ms(self.clock), price_usd):
            seen.append((now_ms(self.clock), price_usd))

    def _forget_old(self) -> None:
        oldest_ms = now_ms(self.clock) - LISTING_KEPT_MS
        for name in [name for name, listing in self._listings.items() if listing.expires_at_ms < oldest_ms]:
            del self._listings[name]
            self._quotes.pop(name, None)

    # --- the market ------------------------------------------------------------

    def index_price(self, currency: str) -> float | None:
        """The last index seen."""
        seen = self._index.get(currency)
        return seen[-1][1] if seen else None

    def listings(self, currency: str) -> Sequence[Listing]:
        """Options seen in get_instruments that have not expired."""
        at_ms = now_ms(self.clock)
        known = self._listings.values()
        return [option for option in known if option.currency == currency and option.expires_at_ms > at_ms]

    def listing(self, name: str) -> Listing | None:
        """One option seen in get_instruments."""
        return self._listings.get(name)

    def quote(self, name: str) -> Quote | None:
        """The last quote seen."""
        return self._quotes.get(name)

    def quotes(self, currency: str) -> Sequence[Quote]:
        """The last quotes seen of options that have not expired."""
        found = (self._quotes.get(option.name) for option in self.listings(currency))
        return [quote for quote in found if quote is not None]

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        """The official price where it was seen; after a while the index seen around the expiry stands in for it."""
        official_usd = self._deliveries.get((currency, expires_at_ms))
        if official_usd is not None:
            return DeliveryPrice(official_usd, is_approximate=False)
        if now_ms(self.clock) < expires_at_ms + APPROXIMATE_AFTER_MS:
            return None
        approximate_usd = self._index_around(currency, expires_at_ms)
        return None if approximate_usd is None else DeliveryPrice(approximate_usd, is_approximate=True)

    def _index_around(self, currency: str, expires_at_ms: int) -> float | None:
        """Mean of the index seen in the half hour before, as Deribit's TWAP; else the first seen in the one after."""
        seen = self._index.get(currency, ())
        before = [price for at_ms, price in seen if expires_at_ms - DELIVERY_WINDOW_MS <= at_ms <= expires_at_ms]
        if before:
            return sum(before) / len(before)
        after = (price for at_ms, price in seen if expires_at_ms < at_ms <= expires_at_ms + DELIVERY_WINDOW_MS)
        return next(after, None)

    def index_bars(self, *_: Any) -> Sequence[Bar]:
        """Not learnt."""
        return []

    def volatility_index_bars(self, *_: Any) -> Sequence[Bar]:
        """Not learnt."""
        return []


def _index_in(row: Row) -> float | None:
    # A book summary has no index_price; before the last half hour its estimated delivery price is the index.
    index_usd = number(row, "index_price")
    return number(row, "estimated_delivery_price") if index_usd is None else index_usd


def _currency_of_index(params: Mapping[str, Any]) -> str:
    return str(params.get("index_name", "")).removesuffix("_usd").upper()
