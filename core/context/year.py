"""A year of a coin: the closes of its finished days and those of DVOL, and what follows from them.

In: prices in USD and volatility as fractions, as PriceBars, oldest first. Out: the regime, the rank of today's IV among
the year's (0 lowest, 1 highest). What only changes with a finished day is computed once a Year. Days are UTC. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from core.context.regimes import LOOKBACK_DAYS, WINDOW_DAYS, Regime, last_regime, next_regime
from models import PriceBar

FINISHED_DAYS = WINDOW_DAYS - 1  # the last close of the window is the price now
MOST_MISSING_DAYS = 5  # of the window, as in a platform restart
LEAST_DVOL_DAYS = 330  # of a year, for a rank to mean anything
ONE_DAY = timedelta(days=1)
A_MOMENT = timedelta(microseconds=1)
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Year:
    """What is known of the last year. `days` and `dvol_days` are the last of each finished day."""

    days: tuple[PriceBar, ...] = ()
    dvol_days: tuple[PriceBar, ...] = ()
    dvol_read_at: datetime = NEVER

    def regime(self, now: datetime, spot_usd: float) -> Regime | None:
        """By the closes of the last FINISHED_DAYS days and the price now; None where too many are missing."""
        if self.days_known(now) < FINISHED_DAYS - MOST_MISSING_DAYS:
            return None
        return next_regime(self._regime_before, spot_usd / self.days[-LOOKBACK_DAYS].close - 1.0)

    def days_known(self, now: datetime) -> int:
        """How many of the last FINISHED_DAYS days have a close."""
        first = bisect_right(self.days, _midnight(now) - FINISHED_DAYS * ONE_DAY, key=_closed_at)
        return min(len(self.days) - first, FINISHED_DAYS)

    @cached_property
    def _regime_before(self) -> Regime:
        """At the last finished day."""
        return last_regime([bar.close for bar in self.days[-FINISHED_DAYS:]])

    def iv_rank(self, dvol_fraction: float | None) -> float | None:
        """(DVOL - lowest) / (highest - lowest) of the year's daily closes and now; None with too few."""
        if dvol_fraction is None or len(self.dvol_days) < LEAST_DVOL_DAYS:
            return None
        lowest, highest = min(self._dvol_span[0], dvol_fraction), max(self._dvol_span[1], dvol_fraction)
        return (dvol_fraction - lowest) / (highest - lowest) if highest > lowest else None

    @cached_property
    def _dvol_span(self) -> tuple[float, float]:
        closes = [bar.close for bar in self.dvol_days]
        return min(closes), max(closes)


NO_YEAR = Year()


def finished_days(bars: Sequence[PriceBar], now: datetime) -> tuple[PriceBar, ...]:
    """The last price of each day that is over; one at midnight closes the day that ends there."""
    today = _midnight(now)
    last = {(bar.closed_at - A_MOMENT).date(): bar for bar in bars if bar.closed_at <= today and bar.close > 0.0}
    return tuple(last.values())


def with_newer_days(days: tuple[PriceBar, ...], bars: Sequence[PriceBar], now: datetime) -> tuple[PriceBar, ...]:
    """The same days and those finished since, from finer prices; a year of them."""
    today = _midnight(now)
    if days and _midnight(days[-1].closed_at - A_MOMENT) >= today - ONE_DAY:
        return days
    if days:
        last_day_ends_at = _midnight(days[-1].closed_at - A_MOMENT) + ONE_DAY
        bars = bars[bisect_right(bars, last_day_ends_at, key=_closed_at) :]
    return (*days, *finished_days(bars, now))[-WINDOW_DAYS:]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _closed_at(bar: PriceBar) -> datetime:
    return bar.closed_at
