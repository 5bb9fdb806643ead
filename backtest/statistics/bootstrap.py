"""Intervals for statistics of returns that hang together in time: the circular block bootstrap.

In: a series of equal periods, a statistic that works along the last axis, a seed. Out: the estimate and its interval.
Whole blocks are drawn, so that runs of good and bad weeks stay runs; the series is closed to a ring, so that the
first and last periods are drawn as often as the others. Pure but for the seeded generator.

Source: Politis and Romano, "A circular block-resampling procedure for stationary data", 1992. Percentile interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from backtest.statistics.samples import Floats, NotEnoughDataError, Numbers, column

DRAWS = 2_000
LEVEL = 0.9
LEAST_BLOCKS = 5

Statistic = Callable[[Floats], Floats]


class Interval(NamedTuple):
    """An estimate and the ends of its interval, in the unit of the statistic."""

    estimate: float
    low: float
    high: float


def bootstrap_interval(
    returns: Numbers,
    statistic: Statistic,
    *,
    seed: int,
    block_periods: int | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Interval of a statistic at a level; without `block_periods`, blocks of the cube root of the length."""
    series = column(returns, "returns", least=2 * LEAST_BLOCKS)
    block = math.ceil(series.size ** (1 / 3)) if block_periods is None else block_periods
    if not 1 <= block <= series.size // LEAST_BLOCKS:
        raise NotEnoughDataError(f"blocks of {block} in {series.size} returns: at least {LEAST_BLOCKS} are needed")
    if not 0.0 < level < 1.0:
        raise NotEnoughDataError(f"level {level}: wanted between 0 and 1")
    values = statistic(_resampled(series, block, draws, seed))
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(statistic(series[None, :])[0]), float(low), float(high))


def means(samples: Floats) -> Floats:
    """Mean of each row."""
    return np.asarray(samples.mean(axis=-1))


def sharpes(samples: Floats) -> Floats:
    """Sharpe ratio of each row, per period; 0 where nothing moved."""
    deviation = samples.std(axis=-1, ddof=1)
    return np.asarray(np.where(deviation > 0.0, samples.mean(axis=-1) / np.where(deviation > 0.0, deviation, 1.0), 0.0))


def _resampled(series: Floats, block: int, draws: int, seed: int) -> Floats:
    dice = np.random.default_rng(seed)
    starts = dice.integers(series.size, size=(draws, math.ceil(series.size / block)))
    places = (starts[:, :, None] + np.arange(block)).reshape(draws, -1) % series.size
    return np.asarray(series[places[:, : series.size]])
