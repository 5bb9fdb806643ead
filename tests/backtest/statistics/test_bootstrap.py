"""Block bootstrap intervals cover what they say they cover, also where returns hang together."""

from __future__ import annotations

import numpy as np
import pytest

from backtest.statistics.bootstrap import bootstrap_interval, means, sharpes
from backtest.statistics.samples import Floats, NotEnoughDataError


def hanging_together(seed: int, periods: int = 300, memory: float = 0.6) -> Floats:
    """Returns around 0, each with a part of the one before."""
    shocks = np.random.default_rng(seed).normal(size=periods)
    returns = np.empty(periods)
    returns[0] = shocks[0]
    for index in range(1, periods):
        returns[index] = memory * returns[index - 1] + shocks[index]
    return returns


def coverage(block_periods: int) -> float:
    """How often a 90 % interval of the mean holds the true mean, 0."""
    intervals = [
        bootstrap_interval(hanging_together(seed), means, seed=seed, block_periods=block_periods, draws=300)
        for seed in range(200)
    ]
    return float(np.mean([interval.low <= 0.0 <= interval.high for interval in intervals]))


def test_blocks_cover_where_single_draws_are_far_too_sure() -> None:
    assert coverage(block_periods=1) < 0.7
    assert 0.78 < coverage(block_periods=20) < 0.95


def test_the_same_seed_gives_the_same_interval() -> None:
    returns = hanging_together(1)
    first, second = (bootstrap_interval(returns, sharpes, seed=5) for _ in range(2))
    assert first == second
    assert first != bootstrap_interval(returns, sharpes, seed=6)


def test_the_estimate_is_that_of_the_series_itself_and_lies_inside() -> None:
    returns = hanging_together(2)
    interval = bootstrap_interval(returns, means, seed=1)
    assert interval.estimate == pytest.approx(returns.mean())
    assert interval.low < interval.estimate < interval.high


def test_a_higher_level_is_a_wider_interval() -> None:
    returns = hanging_together(3)
    narrow, wide = (bootstrap_interval(returns, means, seed=1, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_too_few_returns_or_too_long_blocks_are_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="at least 10"):
        bootstrap_interval([0.1] * 9, means, seed=1)
    with pytest.raises(NotEnoughDataError, match="blocks of 61 in 300"):
        bootstrap_interval(hanging_together(1), means, seed=1, block_periods=61)
    assert bootstrap_interval(hanging_together(1), means, seed=1, block_periods=60).low < 0.0


def test_a_level_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="level 90"):
        bootstrap_interval(hanging_together(1), means, seed=1, level=90.0)
