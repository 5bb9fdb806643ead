"""The simulated index over time: prices, candles, settlement prices, and the factors behind the surface.

In: seed, start, and times in milliseconds that only move forward. Out: USD prices rounded to cents. Keeps the last
HISTORY_DAYS of minutes, whatever the length of the run; settlement prices are worked out hour by hour, so none is
lost when time jumps. No clock of its own, no disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from paper_exchange.market.clocks import HOUR_MS, MINUTE_MS
from paper_exchange.market.market import Bar
from paper_exchange.simulated.process import MINUTES, FloatArray, draw_hour, first_state
from paper_exchange.simulated.settings import COINS, HISTORY_DAYS

HOURS_KEPT = HISTORY_DAYS * 24 + 1
SETTLEMENT_MINUTES = 30


@dataclass(frozen=True, slots=True)
class MarketHour:
    """One hour: log prices at its 61 minute marks (2 x 61), factors (2 x 5) at its start and end."""

    number: int
    log_prices: FloatArray
    factors_at_open: FloatArray
    factors_at_close: FloatArray


class IndexPath:
    """Both coins' indices from HISTORY_DAYS before the start, extended one hour at a time."""

    def __init__(self, seed: int, start_ms: int) -> None:
        self._seed = seed
        self._hours: deque[MarketHour] = deque(maxlen=HOURS_KEPT)
        self._settlement_log_prices: dict[int, FloatArray] = {}
        start_hour = start_ms // HOUR_MS
        self._state = first_state(start_hour - HISTORY_DAYS * 24)
        anchor = self._state.log_prices
        while self._state.hour_number <= start_hour:
            self.advance_one_hour()
        # The history is shifted so that the run, not the history, opens at the start prices.
        self._shift = anchor - self._hours[-1].log_prices[:, 0]

    @property
    def last_hour(self) -> int:
        """Number of the newest hour drawn, counted from 1970."""
        return self._state.hour_number - 1

    @property
    def hours_kept(self) -> int:
        return len(self._hours)

    def advance_one_hour(self) -> int:
        """Draws the next hour and returns its number."""
        log_prices, next_state = draw_hour(self._seed, self._state)
        hour = MarketHour(self._state.hour_number, log_prices, self._state.factors, next_state.factors)
        self._hours.append(hour)
        self._settlement_log_prices[hour.number + 1] = log_prices
        self._state = next_state
        return hour.number

    def forget_settlements_before(self, hour_number: int) -> None:
        """Lets go of settlement prices of expiries before this hour."""
        while (oldest := next(iter(self._settlement_log_prices))) < hour_number:
            del self._settlement_log_prices[oldest]

    def price(self, currency: str, at_ms: int) -> float:
        """Index at the last full minute."""
        hour = self._hour(at_ms // HOUR_MS)
        return float(self._prices(currency, hour.log_prices)[at_ms // MINUTE_MS % MINUTES])

    def opening_prices(self, currency: str, since_hour: int) -> Iterator[tuple[int, float]]:
        """(hour number, price at its start) of the hours kept, from the given one on."""
        for hour in self._hours:
            if hour.number >= since_hour:
                yield hour.number, float(self._prices(currency, hour.log_prices)[0])

    def settlement_price(self, currency: str, expires_at_ms: int) -> float | None:
        """Mean of the 30 minute prices before an expiry at a full hour, None where not remembered."""
        log_prices = self._settlement_log_prices.get(expires_at_ms // HOUR_MS)
        if log_prices is None or expires_at_ms % HOUR_MS != 0:
            return None
        last_minutes = self._prices(currency, log_prices)[MINUTES - SETTLEMENT_MINUTES : MINUTES]
        return round(float(last_minutes.mean()), 4)

    def bars(self, currency: str, start_ms: int, end_ms: int, minutes: int, now_ms: int) -> list[Bar]:
        """Candles that opened in [start, end], the last one as far as it has got by now."""
        first_kept = self._hours[0].number * MINUTES
        first = max(-(-start_ms // MINUTE_MS // minutes), -(-first_kept // minutes)) * minutes
        now_minute = now_ms // MINUTE_MS
        last = min(end_ms // MINUTE_MS, now_minute) // minutes * minutes
        if last < first:
            return []
        prices = self._minute_prices(currency, first, min(last + minutes, now_minute))
        opens = range(first, last + 1, minutes)
        return [_bar(opened, prices[opened - first : opened - first + minutes + 1]) for opened in opens]

    def factors(self, currency: str, at_ms: int) -> FloatArray:
        """The five factors of one coin, moving in a straight line within the hour."""
        hour = self._hour(at_ms // HOUR_MS)
        share = at_ms % HOUR_MS / HOUR_MS
        mixed: FloatArray = (1.0 - share) * hour.factors_at_open + share * hour.factors_at_close
        coin_factors: FloatArray = mixed[COINS.index(currency)]
        return coin_factors

    def factor_history(self, currency: str) -> tuple[FloatArray, FloatArray]:
        """Starts of the hours kept (ms) and the factors there (n x 5); the last row is the end of the last hour."""
        coin = COINS.index(currency)
        times = [float(hour.number * HOUR_MS) for hour in self._hours]
        rows = [hour.factors_at_open[coin] for hour in self._hours]
        times.append(times[-1] + HOUR_MS)
        rows.append(self._hours[-1].factors_at_close[coin])
        return np.array(times), np.array(rows)

    def _hour(self, number: int) -> MarketHour:
        return self._hours[number - self._hours[0].number]

    def _prices(self, currency: str, log_prices: FloatArray) -> FloatArray:
        coin = COINS.index(currency)
        rounded: FloatArray = np.round(np.exp(log_prices[coin] + self._shift[coin]), 2)
        return rounded

    def _minute_prices(self, currency: str, first: int, last: int) -> FloatArray:
        numbers = range(first // MINUTES, last // MINUTES + 1)
        joined = np.concatenate([self._hour(number).log_prices[:, :MINUTES] for number in numbers], axis=1)
        offset = first - numbers[0] * MINUTES
        return self._prices(currency, joined)[offset : offset + last - first + 1]


def _bar(opened_minute: int, prices: FloatArray) -> Bar:
    """A candle from its minute prices; the close is the next candle's open where that is known."""
    high, low = float(prices.max()), float(prices.min())
    return Bar(opened_minute * MINUTE_MS, float(prices[0]), high, low, float(prices[-1]))
