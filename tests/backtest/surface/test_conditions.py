"""What was known at one moment is what was known there among many; a history that nobody holds any more is gone."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest

from backtest.surface.conditions import KEPT_BARS, CoinHistory, Resolution
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from paper_exchange.market.market import Bar
from tests.backtest.surface.histories import FIRST_DAY, START, a_history, ms

HISTORY = a_history(days=100).history("BTC")
# Before everything, on the hour and a millisecond before it, and long after the last candle.
MOMENTS = [ms(FIRST_DAY) - 1, ms(FIRST_DAY) + DAY_MS, ms(START) - 1, ms(START), ms(START) + HOUR_MS // 3, ms(START) * 2]


@pytest.mark.parametrize("finest", ["hour", "day"])
def test_one_moment_and_many_have_the_same_figures(finest: Resolution) -> None:
    together = HISTORY.conditions_at(MOMENTS, finest)
    for place, at_ms in enumerate(MOMENTS):
        alone = HISTORY.conditions_now(at_ms, finest)
        for name in ("dvol", "excess", "unrest", "trend", "is_hourly"):
            assert np.array_equal(getattr(alone, name), getattr(together, name)[place : place + 1], equal_nan=True)


def test_bars_of_dvol_are_the_same_when_they_are_asked_for_again_one_by_one_and_after_many_others() -> None:
    hours, now_ms = range(ms(START), ms(START, hours=6), HOUR_MS), ms(START, hours=5) + HOUR_MS // 2
    first = HISTORY.dvol_bars(hours, now_ms)
    assert HISTORY.dvol_bars(hours, now_ms) == first
    HISTORY.dvol_bars(range(ms(START), ms(START, hours=KEPT_BARS + 10), HOUR_MS), now_ms * 2)
    assert HISTORY.dvol_bars(hours, now_ms) == first
    ended = [*hours[1:], now_ms]
    alone = [HISTORY.dvol_bars(range(opened, end, HOUR_MS), end) for opened, end in zip(hours, ended, strict=True)]
    assert [[bar] for bar in first] == alone
    opened, closed = (100.0 * HISTORY.dvol_now(ms(START, hours=hours))[0] for hours in (0, 1))
    assert first[0] == Bar(ms(START), opened, max(opened, closed), min(opened, closed), closed)
    assert math.isfinite(opened)
    assert HISTORY.dvol_bars(range(ms(FIRST_DAY) - DAY_MS, ms(FIRST_DAY), DAY_MS), ms(FIRST_DAY)) == []


def test_all_runs_on_the_same_data_share_a_history_and_data_that_were_cut_have_their_own() -> None:
    data = a_history(days=3)
    assert data.history("BTC") is data.history("BTC")
    assert data.history("ETH") is not data.history("BTC")
    cut = data.cut_at(ms(FIRST_DAY, days=2))
    late = ms(FIRST_DAY, days=2, hours=12)
    assert cut.history("BTC").index.newest(late) != data.history("BTC").index.newest(late)
    assert replace(data, candles=cut.candles).history("BTC").index.newest(late) == cut.history("BTC").index.newest(late)


def test_a_history_is_gone_with_the_last_who_holds_it_and_waits_for_no_search_for_garbage() -> None:
    """It takes tens of megabytes, and a search comes seldom (policies/garbage.py)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        history: CoinHistory = a_history(days=3).history("BTC")
        history.dvol_bars(range(ms(FIRST_DAY), ms(FIRST_DAY) + DAY_MS, HOUR_MS), ms(FIRST_DAY) + DAY_MS)
        gone = weakref.ref(history)
        del history
        assert gone() is None
    finally:
        if was_on:
            gc.enable()
