"""The historical market: a chain modelled on hourly candles and DVOL, hour by hour.

In: candles, DVOL, delivery prices, coefficient sets, corrections from chains or trades. Out: the Market protocol of
paper_exchange (coin, USD, fractions, ms). Everything is as it was known at the clock's time: the last finished hour,
yesterday's close, settlement prices of the past. The same seed and clock give the same answers, however often or in
which order anyone asks. No disk, no network.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from backtest.historical.files import HistoryData
from backtest.historical.listing import CallBoard, ListedCalls
from backtest.surface.coefficients import SurfaceBook, SurfaceSet
from backtest.surface.conditions import OLDEST_HOUR_MS
from backtest.surface.correction import Corrections
from backtest.surface.known import KnownSeries
from backtest.surface.model import ModelChain, ModelMoment, model_chain
from backtest.surface.observed import standing_correction
from core.chain import Quotes
from paper_exchange.market.bars import group_bars
from paper_exchange.market.clocks import HOUR_MS, MINUTE_MS, SimulatedClock, now_ms
from paper_exchange.market.expiries import DEFAULT_SIZE, MarketSize, has_future
from paper_exchange.market.market import Bar, DeliveryPrice, Listing, MarketClock, Quote
from paper_exchange.market.names import currency_of, expiry_code
from paper_exchange.market.quote_columns import QuoteColumns, all_quoted_at
from paper_exchange.simulated.process import dice_of

LATE_WEIGHT = 0.75  # of an hour's close in the mean of its last half, its open having the rest


@dataclass(frozen=True, slots=True)
class ModelQuote(Quote):
    """A quote that was never shown: `is_extrapolated` where nothing like it was fitted."""

    is_extrapolated: bool = False


@dataclass(frozen=True, slots=True)
class HistoricalChain:
    """One coin's calls at one moment, as columns; `listed` and `model` have the same rows."""

    at_ms: int
    index_usd: float
    listed: ListedCalls
    model: ModelChain
    surface: SurfaceSet

    @property
    def columns(self) -> QuoteColumns:
        """All quotes at once; a row is made when somebody looks at it."""
        model, count = self.model, len(self.listed)
        shown = Quotes(
            symbols=self.listed.listings.names,
            bid_price_coin=model.bid_coin,
            ask_price_coin=model.ask_coin,
            mark_price_coin=model.mark_coin,
            mark_iv_fraction=model.iv_fraction,
            underlying_price_usd=model.forwards_usd,
            quoted_at=all_quoted_at(self.at_ms, count),
        )
        return QuoteColumns(shown, self.listed.listings.row_of, self.quote)

    def quote(self, row: int) -> ModelQuote:
        """One row as a quote; sizes are not modelled."""
        model, expiries = self.model, self.listed.expiries
        bid, ask = float(model.bid_coin[row]), float(model.ask_coin[row])
        return ModelQuote(
            name=self.listed.listings.names[row],
            bid_coin=bid if bid > 0.0 else None,
            ask_coin=ask if ask > 0.0 else None,
            bid_amount=None,
            ask_amount=None,
            mark_coin=float(model.mark_coin[row]),
            mark_iv_fraction=float(model.iv_fraction[row]),
            underlying_price_usd=float(model.forwards_usd[row]),
            underlying_index=_underlying_index(
                self.surface.coin, int(expiries.at_ms[expiries.rows[row]]), self.at_ms // HOUR_MS
            ),
            timestamp_ms=self.at_ms,
            is_extrapolated=bool(model.is_extrapolated[row]),
        )


class HistoricalClock(SimulatedClock):
    """Moves by sleeping, and ends where the period ends."""

    def __init__(self, start: datetime, end: datetime | None = None) -> None:
        super().__init__(start)
        self._end = end

    def wait_for_next(self, interval_seconds: float) -> bool:
        self.sleep(interval_seconds)
        return self._end is None or self.now() <= self._end


class HistoricalMarket:
    """Quotes of a coin's past, modelled. `used_sets` counts the chains made with each coefficient set."""

    def __init__(
        self,
        data: HistoryData,
        clock: MarketClock,
        surfaces: SurfaceBook,
        seed: int = 1,
        corrections: Mapping[str, Corrections] | None = None,
        alternative: int = 0,
        size: MarketSize = DEFAULT_SIZE,
    ) -> None:
        """`alternative` 1 takes the second set of each coin and resolution: the other edge of the band."""
        self.kind = "historical"
        self.clock: MarketClock = clock
        self.currencies = data.coins
        self.used_sets: Counter[str] = Counter()
        self._corrected: Counter[str] = Counter()  # chains by coin
        self._shown, self._extrapolated = 0, 0  # quotes
        self._surfaces, self._seed, self._alternative = surfaces, seed, alternative
        self._corrections = corrections or {}
        self._delivery_prices = data.delivery_prices
        self._candles = {coin: data.candles[coin] for coin in data.coins}
        self._on_the_hour = {coin for coin, bars in self._candles.items() if _are_full_hours(bars)}
        self._histories = {coin: data.history(coin) for coin in data.coins}
        start_ms = now_ms(clock)
        self._boards = {coin: CallBoard(coin, self._histories[coin], start_ms, size) for coin in data.coins}
        self._chains: dict[str, HistoricalChain | None] = {}
        self._chain_times_ms: dict[str, int] = {}

    # --- what the protocol asks ---------------------------------------------------

    def index_price(self, currency: str) -> float | None:
        """The close of the last finished hour; None without data or in a long gap."""
        if currency not in self._histories:
            return None
        return _number(self._histories[currency].index, now_ms(self.clock))

    def listings(self, currency: str) -> Sequence[Listing]:
        return self._listed(currency).listings if currency in self._boards else ()

    def listing(self, name: str) -> Listing | None:
        currency = currency_of(name)
        if currency not in self._boards:
            return None
        self._boards[currency].observe_until(now_ms(self.clock))
        return self._boards[currency].find(name)

    def quotes(self, currency: str) -> Sequence[Quote]:
        chain = self.chain(currency)
        return () if chain is None else chain.columns

    def quote(self, name: str) -> ModelQuote | None:
        chain = self.chain(currency_of(name))
        row = None if chain is None else chain.listed.listings.row_of.get(name)
        return None if chain is None or row is None else chain.quote(row)

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        """Of the past only. Where no price was downloaded: from the hour before, approximately."""
        if expires_at_ms > now_ms(self.clock) or currency not in self._histories:
            return None
        known = self._delivery_prices.get((currency, expires_at_ms))
        return known if known is not None else self._from_candle(currency, expires_at_ms)

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        """Finished hours, joined to the width asked for; there is nothing finer."""
        candles = self._candles.get(currency, [])
        width_ms = max(minutes * MINUTE_MS, HOUR_MS)
        begin = bisect_left(candles, -(-start_ms // width_ms) * width_ms, key=_opened_at)
        last_ms = min(end_ms // width_ms * width_ms + width_ms - 1, now_ms(self.clock) - HOUR_MS)
        asked = candles[begin : bisect_right(candles, last_ms, key=_opened_at)]
        return asked if width_ms == HOUR_MS and currency in self._on_the_hour else group_bars(asked, width_ms)

    def volatility_index_bars(self, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
        """DVOL as it was known at the start and the end of each bar."""
        if currency not in self._histories:
            return ()
        width_ms, at_ms = 1000 * seconds, now_ms(self.clock)
        opened_ms = range(-(-start_ms // width_ms) * width_ms, min(end_ms + 1, at_ms), width_ms)
        return self._histories[currency].dvol_bars(opened_ms, at_ms) if opened_ms else ()

    def sources(self, currency: str) -> tuple[SurfaceSet, ...]:
        """The sets that have been used for a coin, with their errors: what stands beside a result."""
        return tuple(self._surfaces.named(name) for name in self.used_sets if name.startswith(currency))

    @property
    def extrapolated_fraction(self) -> float:
        """Of all quotes shown until now, those outside what was fitted."""
        return self._extrapolated / self._shown if self._shown else 0.0

    def corrected_by(self) -> list[str]:
        """A sentence a coin whose chains were corrected by what was observed."""
        return [
            f"{coin}: level, slope and skew corrected by {found.source} in {self._corrected[coin]} chains"
            for coin, found in self._corrections.items()
        ]

    # --- the chain as columns -----------------------------------------------------

    def chain(self, currency: str) -> HistoricalChain | None:
        """All calls of this moment; None where index or DVOL are not known. One a coin is kept."""
        if currency not in self._boards:
            return None
        at_ms = now_ms(self.clock)
        if self._chain_times_ms.get(currency) != at_ms:
            self._chains[currency] = self._new_chain(currency, at_ms)
            self._chain_times_ms[currency] = at_ms
        return self._chains[currency]

    def _new_chain(self, currency: str, at_ms: int) -> HistoricalChain | None:
        moment = self._moment(currency, at_ms)
        listed = self._listed(currency)
        if moment is None or len(listed) == 0:
            return None
        # An hour's quotes keep their spreads: the data has nothing finer.
        dice = dice_of(self._seed, self.currencies.index(currency), at_ms // HOUR_MS)
        self.used_sets[moment.surface.name] += 1
        self._corrected[currency] += moment.correction is not None
        model = model_chain(moment, listed.strikes_usd, listed.expiries, dice)
        self._shown += len(listed)
        self._extrapolated += int(np.count_nonzero(model.is_extrapolated))
        return HistoricalChain(at_ms, moment.index_usd, listed, model, moment.surface)

    def _moment(self, currency: str, at_ms: int) -> ModelMoment | None:
        history = self._histories[currency]
        index_usd = _number(history.index, at_ms)
        now = history.conditions_now(at_ms)
        surface = self._surfaces.usable(currency, bool(now.is_hourly[0]), self._alternative)
        if index_usd is None or surface is None:
            return None
        if surface.dvol == "day":
            now = history.conditions_now(at_ms, "day")
        if not all(map(math.isfinite, (now.dvol[0], now.excess[0], now.unrest[0], now.trend[0]))):
            return None
        found = self._corrections.get(currency)
        correction = None if found is None else standing_correction(found, history, at_ms, surface.dvol)
        return ModelMoment(at_ms, index_usd, now, surface, correction, history.is_warm_at(at_ms))

    def _listed(self, currency: str) -> ListedCalls:
        self._boards[currency].observe_until(now_ms(self.clock))
        return self._boards[currency].live

    def _from_candle(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        candles = self._candles[currency]
        position = bisect_left(candles, expires_at_ms - HOUR_MS, key=_opened_at)
        if position == len(candles) or candles[position].opened_at_ms != expires_at_ms - HOUR_MS:
            return None
        candle = candles[position]
        price_usd = LATE_WEIGHT * candle.close + (1.0 - LATE_WEIGHT) * candle.open
        return DeliveryPrice(round(price_usd, 4), is_approximate=True)


def _number(series: KnownSeries, at_ms: int) -> float | None:
    value = series.newest(at_ms, OLDEST_HOUR_MS)
    return value if math.isfinite(value) else None


def _opened_at(bar: Bar) -> int:
    return bar.opened_at_ms


def _are_full_hours(candles: Sequence[Bar]) -> bool:
    """Such candles need no joining: a month of them is read with every decision."""
    return all(bar.opened_at_ms % HOUR_MS == 0 for bar in candles)


@lru_cache(maxsize=4096)
def _underlying_index(currency: str, expires_at_ms: int, hour: int) -> str:
    future = f"{currency}-{expiry_code(expires_at_ms)}"
    return future if has_future(expires_at_ms, hour * HOUR_MS) else f"SYN.{future}"
