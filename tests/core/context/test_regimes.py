"""Bull, sideways and bear: thresholds, hysteresis, a window that is walked, not a state that is remembered."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import accumulate
from operator import mul

import pytest

from core.context.regimes import LOOKBACK_DAYS, WINDOW_DAYS, Regime, last_regime, next_regime, walk
from core.context.year import FINISHED_DAYS, Year, finished_days, with_newer_days
from tests.builders.states import NOW, some_bars

MIDNIGHT = NOW - timedelta(hours=12)
RISING = [100.0 * 1.01**day for day in range(FINISHED_DAYS)]


@pytest.mark.parametrize(
    ("before", "trend", "after"),
    [
        ("sideways", 0.1501, "bull"),
        ("sideways", 0.15, "sideways"),
        ("bull", 0.05, "bull"),
        ("bull", 0.0499, "sideways"),
        ("bull", -0.1501, "bear"),
        ("bear", -0.05, "bear"),
        ("bear", -0.0499, "sideways"),
        ("bear", 0.1, "sideways"),
        ("bear", 0.1501, "bull"),
        ("sideways", -0.15, "sideways"),
        ("sideways", -0.1501, "bear"),
    ],
)
def test_a_regime_is_entered_at_fifteen_percent_and_left_at_five(before: Regime, trend: float, after: Regime) -> None:
    assert next_regime(before, trend) == after


def test_without_hysteresis_a_price_around_the_threshold_would_flip_every_day() -> None:
    closes = [100.0] * LOOKBACK_DAYS + [116.0 if day % 2 else 114.0 for day in range(40)]
    assert set(list(walk(closes))[2:]) == {"bull"}


@pytest.mark.parametrize("days", [0, LOOKBACK_DAYS, LOOKBACK_DAYS + 1, LOOKBACK_DAYS + 2, WINDOW_DAYS])
@pytest.mark.parametrize("daily_move", [0.001, 0.01, 0.05])
def test_the_last_regime_is_where_the_whole_walk_ends(days: int, daily_move: float) -> None:
    dice = random.Random(f"{days} {daily_move}")
    for _ in range(50):
        closes = [*accumulate((1.0 + dice.gauss(0.0, daily_move) for _ in range(days)), mul)]
        assert last_regime(closes) == ["sideways", *walk(closes)][-1]


def test_the_regime_of_a_state_is_that_of_the_walk_over_finished_days_and_the_price_now() -> None:
    year = Year(some_bars(RISING, hours=24.0, end=MIDNIGHT))
    for spot_usd in (50.0, 2_500.0, 3_800.0, 9_000.0):
        assert year.regime(NOW, spot_usd) == last_regime([*RISING, spot_usd])


def test_more_days_than_the_window_change_nothing() -> None:
    longer = Year(some_bars([*range(1, 50), *RISING], hours=24.0, end=MIDNIGHT))
    assert longer.regime(NOW, 3_800.0) == Year(some_bars(RISING, hours=24.0, end=MIDNIGHT)).regime(NOW, 3_800.0)
    assert WINDOW_DAYS == FINISHED_DAYS + 1 == 365


@pytest.mark.parametrize(("days", "is_known"), [(FINISHED_DAYS - 5, True), (FINISHED_DAYS - 6, False), (0, False)])
def test_a_few_days_may_be_missing_and_no_more(days: int, is_known: bool) -> None:
    year = Year(some_bars(RISING[:days], hours=24.0, end=MIDNIGHT))
    assert (year.regime(NOW, 100.0) is not None) is is_known


def test_days_that_are_long_past_are_no_window() -> None:
    stale = Year(some_bars(RISING, hours=24.0, end=MIDNIGHT - timedelta(days=6)))
    assert stale.regime(NOW, 100.0) is None


def test_the_close_of_a_day_is_its_last_price_and_midnight_belongs_to_the_day_before() -> None:
    hourly = some_bars(range(1, 61), end=NOW)  # the last one at noon
    assert [bar.close for bar in finished_days(hourly, NOW)] == [24.0, 48.0]
    assert [bar.closed_at for bar in finished_days(hourly, NOW)] == [MIDNIGHT - timedelta(days=1), MIDNIGHT]


def test_days_grown_hour_by_hour_are_those_read_at_once() -> None:
    hourly = some_bars(range(1, 24 * 10 + 1), end=NOW)
    grown = finished_days(hourly[:100], hourly[99].closed_at)
    for count in range(101, len(hourly) + 1, 7):
        grown = with_newer_days(grown, hourly[:count], hourly[count - 1].closed_at)
    assert with_newer_days(grown, hourly, NOW) == finished_days(hourly, NOW)


def test_the_rank_of_iv_is_its_place_between_the_year_s_lowest_and_highest() -> None:
    year = Year(dvol_days=some_bars([0.4, 0.8] * 170, hours=24.0))
    assert [year.iv_rank(dvol) for dvol in (0.4, 0.5, 0.8, 0.9, 0.3, None)] == pytest.approx(
        [0.0, 0.25, 1.0, 1.0, 0.0, None]
    )
    assert Year(dvol_days=some_bars([0.4, 0.8] * 100, hours=24.0)).iv_rank(0.5) is None
    assert Year(dvol_days=some_bars([0.4] * 340, hours=24.0)).iv_rank(0.4) is None
