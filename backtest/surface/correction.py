"""What today's chain or trades say about the surface, and how long that holds.

In: residuals ln(observed volatility / modelled volatility) with tenor and moneyness, or a chain's forwards. Out: a
correction of level, slope (by tenor) and skew (by moneyness), shrunk towards none where little was observed, and its
remainder at a later time. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from backtest.surface.known import FloatArray
from paper_exchange.market.clocks import DAY_MS

HALF_LIFE_DAYS = 4.0  # of a correction; a week later less than a third of it is left
GONE_AFTER_DAYS = 28.0

# How much level, slope and skew of a day differ from the model's (standard deviations), and how much one quote or trade
# differs from its day's surface. These set how fast trades are believed.
USUAL_CORRECTION = np.array([0.08, 0.06, 0.05])
QUOTE_DEVIATION = 0.06
HUBER = 1.5  # residuals beyond this many standard deviations count less
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Correction:
    """Added to ln(volatility / model) at the moment it was measured; `carry_shift` is added to the yearly carry.

    dvol: the DVOL the model stood on then, NaN where that does not matter.
    """

    at_ms: int
    level: float
    slope: float
    skew: float
    carry_shift: float = 0.0
    observations: int = 0
    dvol: float = math.nan

    def remainder_at(self, at_ms: int) -> Correction:
        """What is left of it later."""
        share = remaining_share((at_ms - self.at_ms) / DAY_MS)
        return replace(
            self,
            at_ms=at_ms,
            level=share * self.level,
            slope=share * self.slope,
            skew=share * self.skew,
            carry_shift=share * self.carry_shift,
        )

    def level_at(self, tenor: FloatArray) -> FloatArray:
        """By how much ln(volatility) changes at the money; `tenor` is ln(days / 30)."""
        level: FloatArray = self.level + self.slope * tenor
        return level


def remaining_share(age_days: float) -> float:
    """How much of a correction is left after some days; nothing of one that is not yet known."""
    if not 0.0 <= age_days <= GONE_AFTER_DAYS:
        return 0.0
    return float(0.5 ** (age_days / HALF_LIFE_DAYS))


@dataclass(frozen=True, slots=True)
class Residuals:
    """Observations of one coin, one entry an option or trade; `weights` fall with age (1 is fresh)."""

    residual: FloatArray
    tenor: FloatArray
    moneyness: FloatArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.residual)


def correction_from(observed: Residuals, at_ms: int, carry_shift: float = 0.0, dvol: float = math.nan) -> Correction:
    """Level, slope and skew by least squares, outliers counting less, shrunk by how much was seen."""
    columns = np.stack([np.ones_like(observed.tenor), observed.tenor, observed.moneyness], axis=1)
    fitted: FloatArray = np.zeros(3)
    prior = np.diag((QUOTE_DEVIATION / USUAL_CORRECTION) ** 2)
    for _ in range(ROUNDS):
        off = np.abs(observed.residual - columns @ fitted) / QUOTE_DEVIATION
        weights = observed.weights * HUBER / np.maximum(off, HUBER)
        weighted = columns * weights[:, None]
        solved = np.linalg.solve(columns.T @ weighted + prior, weighted.T @ observed.residual)
        fitted = solved.astype(np.float64)
    level, slope, skew = fitted.tolist()
    return Correction(at_ms, level, slope, skew, carry_shift, len(observed), dvol)


class Corrections:
    """Corrections of one coin by the time they became known; `source` says what they were measured on."""

    def __init__(self, measured: Iterable[Correction] = (), source: str = "") -> None:
        self.source = source
        self._measured = sorted(measured, key=lambda correction: correction.at_ms)
        self._times_ms = [correction.at_ms for correction in self._measured]

    def __len__(self) -> int:
        return len(self._measured)

    def newest(self, known_by_ms: int) -> Correction | None:
        """As it was measured; None where none was yet."""
        position = bisect_right(self._times_ms, known_by_ms)
        return self._measured[position - 1] if position > 0 else None
