"""The state of one coin's market that the surface is made from, as it was known at a moment.

In: hourly candles and DVOL closes. Out: index (USD), DVOL (fraction), how far it stands from its own mean, how restless
the index has been, and how far it has run; NaN where not known. Everything is known only when its hour or day has
ended. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import filterfalse
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backtest.surface.known import BoolArray, FloatArray, KnownSeries
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from paper_exchange.market.market import Bar

HOURS_PER_YEAR = 24.0 * 365.0
RANGE_HALF_LIFE_HOURS = 36.0
TREND_HALF_LIFE_HOURS = 720.0
MEAN_SPAN_DAYS = 30.0
USUAL_UNREST = 0.3  # realised volatility usually lies this much (in logarithms) below DVOL
WARM_UP_HOURS = 720  # with less history the two means say nothing
OLDEST_HOUR_MS = 6 * HOUR_MS  # an hourly figure older than this is not used
OLDEST_DAY_MS = 3 * DAY_MS
KEPT_BARS = 2_048

Resolution = Literal["hour", "day"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """One entry a moment; NaN where unknown.

    dvol: DVOL as a fraction. excess: ln(DVOL / its 30-day mean up to yesterday). unrest: ln(realised / DVOL) + 0.3.
    trend: ln(index) less its own slow mean. is_hourly: DVOL is of the last finished hour, else yesterday's close.
    """

    dvol: FloatArray
    excess: FloatArray
    unrest: FloatArray
    trend: FloatArray
    is_hourly: BoolArray


class CoinHistory:
    """Candles and DVOL of one coin as series of what was known when."""

    def __init__(self, candles: Sequence[Bar], dvol_hours: Sequence[Bar], dvol_days: Sequence[Bar]) -> None:
        """Bars oldest first; DVOL in percent, of which only the closes are used: Deribit's opens, highs and lows of
        days miss the morning after a restart."""
        opened = [bar.opened_at_ms for bar in candles]
        closes = pd.Series([bar.close for bar in candles], dtype=float)
        ranges = pd.Series([math.log(bar.high / bar.low) ** 2 for bar in candles], dtype=float)
        logs = pd.Series(np.log(closes), dtype=float)
        self.index = KnownSeries.of_periods(opened, HOUR_MS, closes)
        self._realised = KnownSeries.of_periods(opened, HOUR_MS, _parkinson(ranges))
        self._trend = KnownSeries.of_periods(opened, HOUR_MS, logs - logs.ewm(halflife=TREND_HALF_LIFE_HOURS).mean())
        self._warm = KnownSeries.of_periods(opened, HOUR_MS, np.arange(len(opened)))
        self.dvol_hours = _closes(dvol_hours, HOUR_MS)
        self.dvol_days = _closes(dvol_days, DAY_MS)
        days = pd.Series([bar.close for bar in dvol_days], dtype=float)
        self._bars: dict[int, dict[int, Bar | None]] = {}  # by width and opening: every day asks for a year of days
        self._mean = KnownSeries.of_periods(
            [bar.opened_at_ms for bar in dvol_days], DAY_MS, days.ewm(span=MEAN_SPAN_DAYS).mean() / 100.0
        )

    def conditions_at(self, at_ms: ArrayLike, finest: Resolution = "hour") -> Conditions:
        """What was known at these moments; `finest` "day" leaves hourly DVOL aside."""
        moments = np.atleast_1d(np.asarray(at_ms, dtype=np.int64))
        realised = self._realised.fresh_at(moments, OLDEST_HOUR_MS)
        trend = self._trend.fresh_at(moments, OLDEST_HOUR_MS)
        return _conditions(*self.dvol_at(moments, finest), self._mean.at(moments).values, realised, trend)

    def conditions_now(self, at_ms: int, finest: Resolution = "hour") -> Conditions:
        """The same of one moment, at a fifth of the cost."""
        dvol, is_hourly = self.dvol_now(at_ms, finest)
        realised = self._realised.newest(at_ms, OLDEST_HOUR_MS)
        figures = np.array(
            [[dvol], [self._mean.newest(at_ms)], [realised], [self._trend.newest(at_ms, OLDEST_HOUR_MS)]]
        )
        return _conditions(figures[0], np.array([is_hourly]), *figures[1:])

    def dvol_at(self, at_ms: ArrayLike, finest: Resolution = "hour") -> tuple[FloatArray, BoolArray]:
        """DVOL alone, as a fraction, and whether it is of the last finished hour."""
        hourly = self.dvol_hours.fresh_at(at_ms, OLDEST_HOUR_MS)
        is_hourly = np.isfinite(hourly) & (finest == "hour")
        dvol: FloatArray = np.where(is_hourly, hourly, self.dvol_days.fresh_at(at_ms, OLDEST_DAY_MS))
        return dvol, is_hourly

    def dvol_now(self, at_ms: int, finest: Resolution = "hour") -> tuple[float, bool]:
        """The same of one moment."""
        hourly = self.dvol_hours.newest(at_ms, OLDEST_HOUR_MS) if finest == "hour" else math.nan
        is_hourly = math.isfinite(hourly)
        return hourly if is_hourly else self.dvol_days.newest(at_ms, OLDEST_DAY_MS), is_hourly

    def dvol_bars(self, opened_ms: range, at_ms: int) -> list[Bar]:
        """DVOL in percent as it was known at the start and the end of each bar, those left out where it was not.

        They open one after the other, the last one before now; those before it are over and kept.
        """
        *over_ms, newest_ms = opened_ms
        kept, width_ms = self._bars.setdefault(opened_ms.step, {}), opened_ms.step
        new_ms = [*filterfalse(kept.__contains__, over_ms)]
        if len(kept) + len(new_ms) > KEPT_BARS:
            kept.clear()
            new_ms = over_ms
        kept.update((opened, self._dvol_bar(opened, opened + width_ms)) for opened in new_ms)
        bars = [*map(kept.get, over_ms), self._dvol_bar(newest_ms, min(newest_ms + width_ms, at_ms))]
        return [bar for bar in bars if bar is not None]

    def _dvol_bar(self, opened_ms: int, ended_ms: int) -> Bar | None:
        first, last = 100.0 * self.dvol_now(opened_ms)[0], 100.0 * self.dvol_now(ended_ms)[0]
        is_known = first > 0.0 and last > 0.0
        return Bar(opened_ms, first, max(first, last), min(first, last), last) if is_known else None

    def dvol_in_hindsight(self, moment_ms: int, known_by_ms: int) -> float:
        """DVOL of a past moment from the daily closes around it, as far as those are known by now."""
        return self.dvol_days.between(moment_ms, known_by_ms)

    def is_warm_at(self, at_ms: int) -> bool:
        """Whether there is enough history before this moment for the means to mean something."""
        return self._warm.newest(at_ms) >= WARM_UP_HOURS


def _conditions(
    dvol: FloatArray, is_hourly: BoolArray, mean_dvol: FloatArray, realised: FloatArray, trend: FloatArray
) -> Conditions:
    excess, unrest = np.log(dvol / mean_dvol), np.log(realised / dvol) + USUAL_UNREST
    return Conditions(dvol, excess, unrest, trend, is_hourly)


def _closes(bars: Sequence[Bar], width_ms: int) -> KnownSeries:
    return KnownSeries.of_periods([bar.opened_at_ms for bar in bars], width_ms, [bar.close / 100.0 for bar in bars])


def _parkinson(squared_ranges: pd.Series[float]) -> FloatArray:
    """Annualised volatility from the candles' ranges (Parkinson 1980), recent ones counting most."""
    mean = squared_ranges.ewm(halflife=RANGE_HALF_LIFE_HOURS).mean() / (4.0 * math.log(2.0))
    return np.sqrt(mean.to_numpy() * HOURS_PER_YEAR)
