"""The simulated index over time: prices, candles, settlement prices, the factors behind the surface, and DVOL.

In: seed, start, and times in milliseconds that only move forward. Out: USD prices rounded to cents, DVOL in percent.
Keeps the last HISTORY_DAYS of minutes, whatever the length of the run; settlement prices are worked out hour by hour,
so none is lost when time jumps. No clock of its own, no disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.columns import Integers
from paper_exchange.market.clocks import HOUR_MS, MINUTE_MS
from paper_exchange.market.market import Bar
from paper_exchange.simulated.process import MINUTES, DrawnHours, FloatArray, draw_hours, first_state
from paper_exchange.simulated.settings import COINS, HISTORY_DAYS, PROFILES
from paper_exchange.simulated.surface import profile_rows, volatility_index_pct

HOURS_KEPT = HISTORY_DAYS * 24 + 1
HOURS_AHEAD = 24  # drawn at once
SETTLEMENT_MINUTES = 30
_PROFILES = profile_rows([PROFILES[coin] for coin in COINS])


@dataclass(frozen=True, slots=True)
class MarketHour:
    """One hour: prices in USD at its 61 minute marks (2 x 61), the highest and the lowest of each coin."""

    number: int
    prices_usd: FloatArray
    highs_usd: list[float]
    lows_usd: list[float]

    def candle(self, coin: int) -> Bar:
        """The whole hour of one coin; its close is the next hour's open."""
        prices_usd = self.prices_usd[coin]
        opened, closed = float(prices_usd[0]), float(prices_usd[-1])
        return Bar(self.number * HOUR_MS, opened, self.highs_usd[coin], self.lows_usd[coin], closed)


class IndexPath:
    """Both coins' indices from HISTORY_DAYS before the start, extended one hour at a time."""

    def __init__(self, seed: int, start_ms: int) -> None:
        self._seed = seed
        self._hours: deque[MarketHour] = deque(maxlen=HOURS_KEPT)
        self._settlement_prices_usd: dict[int, FloatArray] = {}
        self._ahead: deque[_NextHour] = deque()  # drawn, and not yet seen by anybody
        start_hour = start_ms // HOUR_MS
        first = self._state = first_state(start_hour - HISTORY_DAYS * 24)
        # At the open of each hour, and at the last close.
        self._factors = _RecentRows(first.factors, HOURS_KEPT + 1)
        self._volatility_pct = _RecentRows(volatility_index_pct(_PROFILES, first.factors), HOURS_KEPT + 1)
        history = self._draw_hours(HISTORY_DAYS * 24 + 1)
        # The history is shifted so that the run, not the history, opens at the start prices.
        self._shift = first.log_prices - history.log_prices[-1, :, 0]
        self._put_ahead(history)
        self._next_number = first.hour_number
        self.advance_towards(start_hour)

    @property
    def last_hour(self) -> int:
        """Number of the newest hour, counted from 1970."""
        return self._next_number - 1

    @property
    def hours_kept(self) -> int:
        return len(self._hours)

    def advance_towards(self, hour_number: int) -> range:
        """Goes on to this hour, by no more hours than are kept; the numbers of the new ones."""
        new = range(self._next_number, hour_number + 1)[:HOURS_KEPT]
        if len(new) > len(self._ahead):
            self._put_ahead(self._draw_hours(max(len(new) - len(self._ahead), HOURS_AHEAD)))
        reached = [self._ahead.popleft() for _ in new]
        self._hours.extend([each.hour for each in reached])
        self._settlement_prices_usd.update((each.hour.number + 1, each.hour.prices_usd) for each in reached)
        self._factors.extend([each.factors for each in reached])
        self._volatility_pct.extend([each.volatility_pct for each in reached])
        self._next_number += len(new)
        return new

    def _draw_hours(self, count: int) -> DrawnHours:
        drawn = draw_hours(self._seed, self._state, count)
        self._state = drawn.after
        return drawn

    def _put_ahead(self, drawn: DrawnHours) -> None:
        """All at once: an hour by itself is too little for numpy."""
        prices_usd = np.round(np.exp(drawn.log_prices + self._shift[:, None]), 2).astype(np.float64, copy=False)
        highs_usd, lows_usd = prices_usd.max(axis=2).tolist(), prices_usd.min(axis=2).tolist()
        first_number = drawn.after.hour_number - len(prices_usd)
        numbers = range(first_number, drawn.after.hour_number)
        hours = map(MarketHour, numbers, prices_usd, highs_usd, lows_usd)
        self._ahead.extend(map(_NextHour, hours, drawn.factors, volatility_index_pct(_PROFILES, drawn.factors)))

    def forget_settlements_before(self, hour_number: int) -> None:
        """Lets go of settlement prices of expiries before this hour."""
        while (oldest := next(iter(self._settlement_prices_usd))) < hour_number:
            del self._settlement_prices_usd[oldest]

    def price(self, currency: str, at_ms: int) -> float:
        """Index at the last full minute."""
        hour = self._hour(at_ms // HOUR_MS)
        return float(hour.prices_usd[COINS.index(currency), at_ms // MINUTE_MS % MINUTES])

    def opening_prices(self, currency: str, since_hour: int) -> Iterator[tuple[int, float]]:
        """(hour number, price at its start) of the hours kept, from the given one on."""
        coin, first = COINS.index(currency), max(since_hour - self._hours[0].number, 0)
        for hour in [self._hours[place] for place in range(first, len(self._hours))]:
            yield hour.number, float(hour.prices_usd[coin, 0])

    def settlement_price(self, currency: str, expires_at_ms: int) -> float | None:
        """Mean of the 30 minute prices before an expiry at a full hour, None where not remembered."""
        prices_usd = self._settlement_prices_usd.get(expires_at_ms // HOUR_MS)
        if prices_usd is None or expires_at_ms % HOUR_MS != 0:
            return None
        last_minutes = prices_usd[COINS.index(currency), MINUTES - SETTLEMENT_MINUTES : MINUTES]
        return round(float(last_minutes.mean()), 4)

    def bars(self, currency: str, start_ms: int, end_ms: int, minutes: int, now_ms: int) -> list[Bar]:
        """Candles that opened in [start, end], the last one as far as it has got by now."""
        first_kept = self._hours[0].number * MINUTES
        first = max(-(-start_ms // MINUTE_MS // minutes), -(-first_kept // minutes)) * minutes
        now_minute = now_ms // MINUTE_MS
        last = min(end_ms // MINUTE_MS, now_minute) // minutes * minutes
        if minutes == MINUTES:
            done = self._candles(currency, first // MINUTES, min(last, now_minute - MINUTES) // MINUTES)
            first += len(done) * MINUTES
        else:
            done = []
        if last < first:
            return done
        prices = self._minute_prices(currency, first, min(last + minutes, now_minute))
        return done + _bars(first, np.arange(0, last - first + 1, minutes), prices, minutes)

    def _candles(self, currency: str, first_hour: int, last_hour: int) -> list[Bar]:
        """Those of hours that are over."""
        coin, oldest = COINS.index(currency), self._hours[0].number
        return [self._hours[number - oldest].candle(coin) for number in range(first_hour, last_hour + 1)]

    def factors(self, currencies: Sequence[str], at_ms: int) -> FloatArray:
        """The five factors, a row a coin, moving in a straight line within the hour."""
        place, share = at_ms // HOUR_MS - self._next_number, at_ms % HOUR_MS / HOUR_MS
        opened, closed = self._factors.newest(1 - place)[:2, [COINS.index(currency) for currency in currencies]]
        mixed: FloatArray = (1.0 - share) * opened + share * closed
        return mixed

    def volatility_history(self, currency: str, since_ms: int) -> tuple[FloatArray, FloatArray]:
        """Starts of the hours kept (ms) and the volatility index there (percent); the last is the last hour's end.

        From the hour of `since_ms` on, or from the first one kept.
        """
        first = min(max(since_ms // HOUR_MS, self._hours[0].number), self.last_hour)
        numbers = np.arange(first, self._next_number + 1, dtype=np.float64)
        return numbers * HOUR_MS, self._volatility_pct.newest(len(numbers))[:, COINS.index(currency)]

    def _hour(self, number: int) -> MarketHour:
        return self._hours[number - self._hours[0].number]

    def _minute_prices(self, currency: str, first: int, last: int) -> FloatArray:
        coin, skipped = COINS.index(currency), first // MINUTES - self._hours[0].number
        hours = range(skipped, last // MINUTES - self._hours[0].number + 1)
        joined = np.concatenate([self._hours[place].prices_usd[coin, :MINUTES] for place in hours])
        offset = first % MINUTES
        return joined[offset : offset + last - first + 1]


class _NextHour(NamedTuple):
    """One that comes; factors and volatility index are those at its end, a row a coin."""

    hour: MarketHour
    factors: FloatArray
    volatility_pct: FloatArray


class _RecentRows:
    """Arrays of one shape, oldest first; at most so many of the newest are kept, side by side in memory."""

    def __init__(self, first: FloatArray, most: int) -> None:
        self._most, self._count = most, 1
        self._rows = np.empty((2 * most, *first.shape))
        self._rows[0] = first

    def extend(self, rows: Sequence[FloatArray]) -> None:
        """Adds newer ones, no more than are kept."""
        if self._count + len(rows) > len(self._rows):
            kept = min(self._count, self._most)
            self._rows[:kept] = self.newest(kept)
            self._count = kept
        self._rows[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def newest(self, count: int) -> FloatArray:
        return self._rows[self._count - count : self._count]


def _bars(first_minute: int, starts: Integers, prices: FloatArray, minutes: int) -> list[Bar]:
    """Candles from minute prices; a close is the next candle's open, or the last price where that is not known."""
    closes = prices[np.minimum(starts + minutes, len(prices) - 1)]
    highs = np.maximum(np.maximum.reduceat(prices, starts), closes)
    lows = np.minimum(np.minimum.reduceat(prices, starts), closes)
    opened_at_ms = (first_minute + starts) * MINUTE_MS
    columns = (opened_at_ms, prices[starts], highs, lows, closes)
    return [Bar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
