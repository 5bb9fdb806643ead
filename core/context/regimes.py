"""Bull, sideways or bear: rules on the return of the last 60 days, with hysteresis.

In: daily closes in USD, oldest first, the last one may be the price now. Out: a regime. A market turns bull above
+15 %, and stays so until the return is below +5 %; bear is the mirror image. What it was before is found by walking a
window of WINDOW_DAYS closes from a sideways start, never remembered: two readers of the same closes always agree. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

Regime = Literal["bull", "sideways", "bear"]

WINDOW_DAYS = 365
LOOKBACK_DAYS = 60
ENTER_FRACTION = 0.15
LEAVE_FRACTION = 0.05


def next_regime(before: Regime, return_fraction: float) -> Regime:
    """The regime of a day, from that of the day before and the return over LOOKBACK_DAYS."""
    if return_fraction > ENTER_FRACTION:
        return "bull"
    if return_fraction < -ENTER_FRACTION:
        return "bear"
    stays_bull = before == "bull" and return_fraction >= LEAVE_FRACTION
    stays_bear = before == "bear" and return_fraction <= -LEAVE_FRACTION
    return before if stays_bull or stays_bear else "sideways"


def walk(closes_usd: Sequence[float], start: int = LOOKBACK_DAYS) -> Iterator[Regime]:
    """The regime of each close from `start` on, of those that have one LOOKBACK_DAYS before them."""
    regime: Regime = "sideways"
    for place in range(start, len(closes_usd)):
        regime = next_regime(regime, _return_at(place, closes_usd))
        yield regime


def last_regime(closes_usd: Sequence[float]) -> Regime:
    """The regime at the last of these closes; sideways where they are too few to tell.

    Walked from the last day whose return tells by itself, whatever was before: that is seldom long ago.
    """
    start = len(closes_usd) - 1
    while start > LOOKBACK_DAYS and not _tells_by_itself(_return_at(start, closes_usd)):
        start -= 1
    regime: Regime = "sideways"
    for found in walk(closes_usd, max(start, LOOKBACK_DAYS)):
        regime = found
    return regime


def _return_at(place: int, closes_usd: Sequence[float]) -> float:
    return closes_usd[place] / closes_usd[place - LOOKBACK_DAYS] - 1.0


def _tells_by_itself(return_fraction: float) -> bool:
    return next_regime("bull", return_fraction) == next_regime("bear", return_fraction)
