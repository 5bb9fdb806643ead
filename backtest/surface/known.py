"""What was known when: figures that carry the moment from which anyone could know them.

In: figures with the time each became known (ms since 1970). Out: the newest figure known at a moment, or NaN. There is
no way to ask for the figure *of* a day or an hour: the day's own DVOL close cannot be reached at noon, because nothing
here answers that question. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
TimeArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ANY_AGE_MS = 2**62
BEFORE_EVERYTHING_MS = -ANY_AGE_MS  # far enough, and a moment's distance from it is still a whole number of 64 bits


class Known(NamedTuple):
    """Figures as they stood at some moments, and since when each had been known; NaN and 0 where there was none."""

    values: FloatArray
    since_ms: TimeArray


class KnownSeries:
    """Figures that each became known at a moment, oldest first."""

    def __init__(self, known_since_ms: ArrayLike, values: ArrayLike) -> None:
        since = np.asarray(known_since_ms, dtype=np.int64)
        figures = np.asarray(values, dtype=np.float64)
        order = np.argsort(since, kind="stable")
        # One entry before everything stands for "nothing is known yet".
        self._since_ms: TimeArray = np.concatenate([[BEFORE_EVERYTHING_MS], since[order]])
        self._values: FloatArray = np.concatenate([[np.nan], figures[order]])

    @classmethod
    def of_periods(cls, opened_at_ms: ArrayLike, width_ms: int, values: ArrayLike) -> KnownSeries:
        """Figures of hours or days (closes, ranges): each is known when its period has ended, not before."""
        return cls(np.asarray(opened_at_ms, dtype=np.int64) + width_ms, values)

    def at(self, at_ms: ArrayLike) -> Known:
        """The newest figures known at these moments."""
        position = np.searchsorted(self._since_ms, np.asarray(at_ms, dtype=np.int64), side="right") - 1
        return Known(self._values[position], np.where(position > 0, self._since_ms[position], 0))

    def between(self, moment_ms: int, known_by_ms: int) -> float:
        """A straight line between the figures around a past moment; the last one known by now stands after it."""
        known = slice(1, int(np.searchsorted(self._since_ms, known_by_ms, side="right")))
        if known.stop <= 1:
            return float("nan")
        return float(np.interp(moment_ms, self._since_ms[known].astype(np.float64), self._values[known]))

    def newest(self, at_ms: int, oldest_ms: int = ANY_AGE_MS) -> float:
        """The same as fresh_at for one moment, at a twentieth of the cost: a market asks so for every chain."""
        since_ms, values = self._lists
        position = bisect_right(since_ms, at_ms) - 1
        return values[position] if at_ms - since_ms[position] <= oldest_ms else math.nan

    @cached_property
    def _lists(self) -> tuple[list[int], list[float]]:
        return self._since_ms.tolist(), self._values.tolist()

    def fresh_at(self, at_ms: ArrayLike, oldest_ms: int) -> FloatArray:
        """The same, NaN where the newest figure is older than `oldest_ms`."""
        moments = np.asarray(at_ms, dtype=np.int64)
        position = np.searchsorted(self._since_ms, moments, side="right") - 1
        is_fresh = moments - self._since_ms[position] <= oldest_ms
        fresh: FloatArray = np.where(is_fresh, self._values[position], np.nan)
        return fresh
