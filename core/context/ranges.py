"""Realised volatility from ranges: how far a price got in a day, beside how far it was at the end.

In: past prices (hourly, USD), oldest first. Out: a fraction a year, None where the days are not covered. Parkinson
(1980), The Extreme Value Method for Estimating the Variance of the Rate of Return, Journal of Business 53: variance of
a day = (ln(high / low))^2 / (4 ln 2). High and low are those of the prices that are known: of hourly ones the range is
a little too narrow (for a random walk about a tenth of the volatility). Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from core.pricing import SECONDS_PER_DAY
from models import PriceBar

LEAST_PRICES = 20  # of the 25 hourly ones from one end of a day to the other
LEAST_DAYS_FRACTION = 0.9
ONE_DAY = timedelta(days=1)

SquaredRanges = dict[float, float | None]  # by the end of the day that they are of, in seconds since 1970


def volatility_of_ranges(ranges: Sequence[float | None], days: int) -> float | None:
    """Of the first `days` of squared_ranges; None where too many are not known."""
    found = [squared for squared in ranges[:days] if squared is not None]
    if len(found) < LEAST_DAYS_FRACTION * days:
        return None
    return math.sqrt(math.fsum(found) / len(found) / (4.0 * math.log(2.0)) * 365.0)


def squared_ranges(bars: Sequence[PriceBar], days: int, known: SquaredRanges) -> list[float | None]:
    """Squared log ranges of so many days, the last day first; both ends belong to a day.

    `known`: ranges of the same prices that were found before; those found now are added.
    """
    if not bars:
        return []
    newest, oldest = bars[-1].closed_at, bars[0].closed_at
    last_end, first_whole_end = newest.timestamp(), (oldest + ONE_DAY).timestamp()
    ends = [last_end - day * SECONDS_PER_DAY for day in range(days)]
    for day, end in enumerate(ends):
        if end not in known or end < first_whole_end:  # of a day that was whole then, a part may be gone
            known[end] = _squared_range(bars, newest - day * ONE_DAY)
    return [known[end] for end in ends]


def _squared_range(bars: Sequence[PriceBar], end: datetime) -> float | None:
    first, last = bisect_left(bars, PriceBar(end - ONE_DAY, 0.0)), bisect_right(bars, PriceBar(end, math.inf))
    prices = [bar.close for bar in bars[first:last]]
    return math.log(max(prices) / min(prices)) ** 2 if len(prices) >= LEAST_PRICES else None
