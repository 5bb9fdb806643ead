"""The simulated market: seeded index, volatility surface, Deribit's calendar, quotes, candles and DVOL.

In: a seed, a clock and how much to list. Out: the Market protocol of market.py (coin, USD, fractions, ms). Every
answer is a function of seed, start and the clock's time alone: not of how often or in which order anyone asks.
Index and quote noise change each minute, marks each second. No disk, no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paper_exchange.market.bars import bars_of_stretches
from paper_exchange.market.clocks import HOUR_MS, MINUTE_MS, Milliseconds, now_ms
from paper_exchange.market.expiries import DEFAULT_SIZE, MarketSize
from paper_exchange.market.market import Bar, DeliveryPrice, Listing, Marked, MarketClock, Quote
from paper_exchange.market.names import currency_of
from paper_exchange.market.quote_columns import QuoteColumns
from paper_exchange.simulated import settings
from paper_exchange.simulated.chain_columns import ChainColumns, JoinedColumns, chain_columns, joined_columns
from paper_exchange.simulated.index_path import IndexPath
from paper_exchange.simulated.listing_board import ListingBoard
from paper_exchange.simulated.process import dice_of
from paper_exchange.simulated.quotes import MarketMoment, quote_chains
from paper_exchange.simulated.settings import COINS, PROFILES


class SimulatedMarket:
    """A whole exchange's worth of quotes from one seed."""

    def __init__(
        self,
        seed: int,
        clock: MarketClock,
        currencies: tuple[str, ...] = COINS,
        size: MarketSize = DEFAULT_SIZE,
    ) -> None:
        self.kind = "simulated"
        self.clock = clock
        self.currencies = currencies
        self._seed = seed
        self._milliseconds = Milliseconds(self)
        self._path = IndexPath(seed, now_ms(clock))
        self._boards = {currency: ListingBoard(currency, size) for currency in currencies}
        self._columns_of: dict[str, ChainColumns] = {}
        self._joined: JoinedColumns | None = None
        self._chains_at_ms, self._chains = -1, dict[str, QuoteColumns]()
        self._looked_at = set[str]()  # coins whose chains somebody wants: they are priced together
        self._observe(self._path.last_hour - 24 * settings.REMEMBER_EXPIRED_DAYS)

    @property
    def hours_kept(self) -> int:
        """Hours of index history held; the same however long the run is."""
        return self._path.hours_kept

    def index_price(self, currency: str) -> float | None:
        if currency not in self._boards:
            return None
        return self._path.price(currency, self._look())

    def listings(self, currency: str) -> Sequence[Listing]:
        self._look()
        return self._columns(currency).listings if currency in self._boards else ()

    def listing(self, name: str) -> Listing | None:
        self._look()
        found = (board.find(name) for board in self._boards.values())
        return next((listing for listing in found if listing is not None), None)

    def quotes(self, currency: str) -> Sequence[Quote]:
        if currency not in self._boards:
            return ()
        return self._chain(currency, self._look())

    def quote(self, name: str) -> Quote | None:
        currency = currency_of(name)
        if currency not in self._boards:
            return None
        return self._chain(currency, self._look()).find(name)

    def mark(self, name: str) -> Marked | None:
        """The mark of the same quote; no size is thrown for it."""
        currency = currency_of(name)
        return self._chain(currency, self._look()).find_mark(name) if currency in self._boards else None

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        if expires_at_ms > self._look() or currency not in self._boards:
            return None
        price_usd = self._path.settlement_price(currency, expires_at_ms)
        return None if price_usd is None else DeliveryPrice(price_usd, is_approximate=False)

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        if currency not in self._boards:
            return ()
        return self._path.bars(currency, start_ms, end_ms, minutes, self._look())

    def volatility_index_bars(self, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
        """Candles of the surface's 30-day level; within an hour the level moves in a straight line."""
        if currency not in self._boards:
            return ()
        at_ms = self._look()
        times, levels = self._path.volatility_history(currency, start_ms)
        width_ms = 1000 * seconds
        fine_ms = min(width_ms, HOUR_MS)
        first_ms = -(-max(start_ms, int(times[0])) // width_ms) * width_ms
        last_ms = min(end_ms // width_ms * width_ms + width_ms, at_ms + 1)
        if first_ms >= last_ms:
            return ()
        opens_ms = np.arange(first_ms, last_ms, fine_ms)
        opened = np.round(np.interp(opens_ms, times, levels), 2)
        closed = np.round(np.interp(np.minimum(opens_ms + fine_ms, at_ms), times, levels), 2)
        return bars_of_stretches(opens_ms, opened, closed, width_ms // fine_ms)

    def _look(self) -> int:
        """The clock's time, once path and listings have caught up with it."""
        at_ms = self._milliseconds.now()
        hour = at_ms // HOUR_MS
        last_seen = self._path.last_hour
        if hour <= last_seen:
            return at_ms
        while self._path.last_hour < hour:
            self._observe(self._path.advance_towards(hour).start)
        # Counted from the last look, so that whatever expired in a long sleep can still be settled.
        self._path.forget_settlements_before(last_seen - 24 * settings.HISTORY_DAYS)
        for board in self._boards.values():
            board.forget_expired_before(last_seen - 24 * settings.REMEMBER_EXPIRED_DAYS)
        return at_ms

    def _observe(self, first_hour: int) -> None:
        """All boards look at the hours from this one on."""
        for currency, board in self._boards.items():
            for hour_number, spot_usd in self._path.opening_prices(currency, first_hour):
                board.observe(hour_number, spot_usd)

    def _chain(self, currency: str, at_ms: int) -> QuoteColumns:
        """The chain of this second; one a coin is kept."""
        at_ms -= at_ms % 1000
        if at_ms != self._chains_at_ms:
            self._chains_at_ms, self._chains = at_ms, {}
        if currency not in self._chains:
            self._looked_at.add(currency)
            wanted = self._looked_at - self._chains.keys()
            coins = tuple([coin for coin in self.currencies if coin in wanted])
            self._chains.update(zip(coins, self._quoted(coins, at_ms), strict=True))
        return self._chains[currency]

    def _quoted(self, coins: tuple[str, ...], at_ms: int) -> list[QuoteColumns]:
        indices_usd = np.array([self._path.price(coin, at_ms) for coin in coins])
        moment = MarketMoment(at_ms, indices_usd, self._path.factors(coins, at_ms))
        dice = [dice_of(self._seed, 1 + COINS.index(coin), at_ms // MINUTE_MS) for coin in coins]
        return quote_chains(self._joined_columns(coins), moment, [PROFILES[coin] for coin in coins], dice)

    def _joined_columns(self, coins: tuple[str, ...]) -> JoinedColumns:
        """The same until something else is listed."""
        chains = tuple([self._columns(coin) for coin in coins])
        if self._joined is None or self._joined.chains != chains:
            self._joined = joined_columns(chains, [PROFILES[coin] for coin in coins])
        return self._joined

    def _columns(self, currency: str) -> ChainColumns:
        """The same until something else is listed."""
        sheets, kept = self._boards[currency].live, self._columns_of.get(currency)
        if kept is None or kept.sheets != sheets:
            kept = self._columns_of[currency] = chain_columns(sheets)
        return kept
