"""Volatility from ranges: Parkinson's formula by hand, and on prices whose volatility is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from core.context.ranges import SquaredRanges, squared_ranges, volatility_of_ranges
from models import PriceBar
from tests.builders.states import some_bars


def range_volatility(bars: Sequence[PriceBar], days: int) -> float | None:
    return volatility_of_ranges(squared_ranges(bars, days, {}), days)


def test_one_range_a_day_gives_parkinson_s_figure() -> None:
    bars = some_bars(110.0 if n % 24 == 12 else 100.0 for n in range(7 * 24 + 1))
    daily = math.log(1.1) ** 2 / (4.0 * math.log(2.0))
    assert range_volatility(bars, 7) == pytest.approx(math.sqrt(365.0 * daily), rel=1e-12)


def test_hourly_prices_of_a_random_walk_give_a_little_less_than_its_volatility() -> None:
    steps = np.random.default_rng(5).normal(0.0, 0.6 / math.sqrt(365 * 24), 24 * 400)
    bars = some_bars((100.0 * np.exp(np.cumsum(steps))).tolist())
    found = range_volatility(bars, 390)
    assert found is not None
    assert 0.5 < found < 0.6  # a tenth less, as the module says


@pytest.mark.parametrize(("count", "is_known"), [(7 * 24 + 1, True), (6 * 24, False), (1, False), (0, False)])
def test_days_that_are_not_covered_are_unknown(count: int, is_known: bool) -> None:
    assert (range_volatility(some_bars([100.0] * count), 7) is not None) is is_known


def test_prices_six_hours_apart_show_no_range() -> None:
    assert range_volatility(some_bars([100.0, 101.0] * 60, hours=6.0), 7) is None


def test_of_a_day_that_has_lost_its_first_hours_the_range_is_that_of_the_others() -> None:
    known: SquaredRanges = {}
    bars = some_bars(150.0 if n == 1 else 100.0 + n % 2 for n in range(49))
    newest, oldest = squared_ranges(bars, 2, known)
    assert oldest == pytest.approx(math.log(1.5) ** 2)
    assert squared_ranges(bars[3:], 2, known) == [newest, pytest.approx(math.log(1.01) ** 2)]
