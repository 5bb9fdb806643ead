"""Sharpe ratios against the published example, against simulation, and refused where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backtest.statistics.samples import NotEnoughDataError
from backtest.statistics.sharpe import (
    Record,
    deflated_sharpe,
    expected_maximum_sharpe,
    probabilistic_sharpe,
    record_of,
)

# Bailey and Lopez de Prado (2014), the numerical example: five years of 250 days, an annual Sharpe ratio of 2.5,
# skewness -3, kurtosis 10, the best of 100 trials whose annual Sharpe ratios have a variance of one half.
DAYS_PER_YEAR = 250
PUBLISHED = Record(sharpe=2.5 / math.sqrt(DAYS_PER_YEAR), skewness=-3.0, kurtosis=10.0, periods=5 * DAYS_PER_YEAR)
DAILY_VARIANCE = 0.5 / DAYS_PER_YEAR


def test_the_published_example_comes_out() -> None:
    assert expected_maximum_sharpe(100, DAILY_VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PUBLISHED, 100, DAILY_VARIANCE) == pytest.approx(0.9004, abs=5e-5)


def test_fewer_trials_or_a_straighter_record_deflate_less() -> None:
    normal = PUBLISHED._replace(skewness=0.0, kurtosis=3.0)
    assert deflated_sharpe(PUBLISHED, 46, DAILY_VARIANCE) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(normal, 88, DAILY_VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_an_annual_ratio_taken_for_a_daily_one_would_look_certain() -> None:
    annual = PUBLISHED._replace(sharpe=2.5)
    assert deflated_sharpe(annual, 100, DAILY_VARIANCE) > 0.999999


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe(PUBLISHED, 1, DAILY_VARIANCE) == probabilistic_sharpe(PUBLISHED)


def test_the_expected_maximum_is_that_of_simulated_trials_without_skill() -> None:
    draws = np.random.default_rng(1).normal(scale=0.2, size=(20_000, 50))
    assert expected_maximum_sharpe(50, 0.2**2) == pytest.approx(draws.max(axis=1).mean(), rel=0.02)


def test_the_probability_is_even_for_a_record_at_the_benchmark() -> None:
    assert probabilistic_sharpe(PUBLISHED, benchmark=PUBLISHED.sharpe) == 0.5


def test_kurtosis_is_three_for_normal_returns() -> None:
    record = record_of(np.random.default_rng(2).normal(0.1, 1.0, size=100_000))
    assert record.kurtosis == pytest.approx(3.0, abs=0.05)
    assert record.skewness == pytest.approx(0.0, abs=0.05)
    assert record.sharpe == pytest.approx(0.1, abs=0.01)


def test_the_probability_covers_as_often_as_it_says() -> None:
    """Of records without skill, one in twenty has a probability above .95."""
    dice = np.random.default_rng(3)
    sure = [probabilistic_sharpe(record_of(dice.normal(size=250))) > 0.95 for _ in range(2_000)]
    assert np.mean(sure) == pytest.approx(0.05, abs=0.015)


def test_the_best_of_many_trials_without_skill_is_seen_as_luck() -> None:
    returns = np.random.default_rng(4).normal(size=(250, 200))
    sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    best = returns[:, sharpes.argmax()]
    assert probabilistic_sharpe(record_of(best)) > 0.95
    assert deflated_sharpe(record_of(best), 200, float(sharpes.var(ddof=1))) < 0.9


@pytest.mark.parametrize("returns", [[0.01] * 50, [0.0] * 50, [0.1, 0.2], [0.1, math.nan, 0.2], [0.1, math.inf, 0.3]])
def test_a_record_without_a_ratio_is_refused(returns: list[float]) -> None:
    with pytest.raises(NotEnoughDataError, match=r"^returns: "):
        record_of(returns)


@pytest.mark.parametrize(("trials", "variance"), [(0, 0.1), (10, -0.1), (10, math.nan), (10, math.inf)])
def test_trials_that_cannot_be_are_refused(trials: int, variance: float) -> None:
    with pytest.raises(NotEnoughDataError, match="expected maximum"):
        expected_maximum_sharpe(trials, variance)
