"""Sharpe ratios that know how long the record is, how crooked its returns are and how many trials came before.

In: returns of equal periods (day, week), as fractions or in any one unit; the Sharpe ratios of all trials ever run.
Out: Sharpe ratios per period, never annualised, and probabilities. Kurtosis is 3 for normal returns. Pure.

Sources: Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012 (probabilistic);
"The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), 2014 (deflated, expected maximum).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from backtest.statistics.samples import NotEnoughDataError, Numbers, column

NORMAL = NormalDist()
EULER_MASCHERONI = 0.5772156649015329
SMALLEST_DEVIATION = 1e-12  # relative to the largest return: below it there is only rounding


class Record(NamedTuple):
    """What is left of a series of returns: enough for every figure of this module."""

    sharpe: float
    skewness: float
    kurtosis: float
    periods: int


def record_of(returns: Numbers) -> Record:
    """Moments of a series of returns; raises NotEnoughDataError where they never change."""
    series = column(returns, "returns", least=3)
    deviation = series.std()
    if not deviation > SMALLEST_DEVIATION * np.abs(series).max():
        raise NotEnoughDataError("returns: all the same, a Sharpe ratio needs some that differ")
    standardised = (series - series.mean()) / deviation
    sharpe = float(series.mean() / series.std(ddof=1))
    return Record(sharpe, float((standardised**3).mean()), float((standardised**4).mean()), series.size)


def probabilistic_sharpe(record: Record, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio lies above the benchmark, both per period."""
    sharpe = record.sharpe
    variance = 1.0 - record.skewness * sharpe + (record.kurtosis - 1.0) / 4.0 * sharpe**2
    if record.periods < 2 or not variance > 0.0:
        raise NotEnoughDataError(f"a Sharpe ratio of {record.periods} periods with such moments has no known error")
    return NORMAL.cdf((sharpe - benchmark) * math.sqrt((record.periods - 1) / variance))


def expected_maximum_sharpe(trials: int, sharpe_variance: float) -> float:
    """The best Sharpe ratio to expect of so many independent trials without any skill.

    `sharpe_variance` is the variance of the trials' Sharpe ratios. One trial alone was not chosen: 0.
    """
    if trials < 1 or not 0.0 <= sharpe_variance < math.inf:
        raise NotEnoughDataError(f"{trials} trials with a variance of {sharpe_variance} have no expected maximum")
    if trials == 1:
        return 0.0
    usual = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    rare = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(sharpe_variance) * ((1.0 - EULER_MASCHERONI) * usual + EULER_MASCHERONI * rare)


def deflated_sharpe(record: Record, trials: int, sharpe_variance: float) -> float:
    """Probability that the best of so many trials has a true Sharpe ratio above what luck alone would have found."""
    return probabilistic_sharpe(record, expected_maximum_sharpe(trials, sharpe_variance))
