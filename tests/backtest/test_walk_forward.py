"""Walk-forward windows: nothing is judged on what it was chosen on, and every judged day is judged once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from backtest.walk_forward import Period, WalkForwardError, Window, walk_forward

START = datetime(2024, 1, 1, tzinfo=UTC)


def days(number: float) -> Period:
    return Period(START, START + timedelta(days=number))


def windows_of(number: float, keep_start: bool = False) -> tuple[Window, ...]:
    return walk_forward(days(number), choose_days=90, judge_days=30, pause_days=35, keep_start=keep_start)


def test_judged_parts_touch_and_never_overlap() -> None:
    windows = windows_of(365)
    assert len(windows) == 8
    assert all(before.judged_on.end_at == after.judged_on.start_at for before, after in pairwise(windows))


def test_the_pause_lies_between_choosing_and_judging() -> None:
    assert {w.judged_on.start_at - w.chosen_on.end_at for w in windows_of(365)} == {timedelta(days=35)}


def test_each_past_is_of_one_length_or_grows_from_the_start() -> None:
    assert {window.chosen_on.days for window in windows_of(365)} == {90.0}
    growing = windows_of(365, keep_start=True)
    assert {window.chosen_on.start_at for window in growing} == {START}
    assert [window.chosen_on.days for window in growing] == [90.0 + 30.0 * step for step in range(8)]


@pytest.mark.parametrize(("length", "windows"), [(155, 1), (184.9, 1), (185, 2)])
def test_a_window_counts_when_it_fits_to_the_last_day(length: float, windows: int) -> None:
    assert len(windows_of(length)) == windows


def test_a_period_one_day_too_short_is_refused_with_what_it_needs() -> None:
    with pytest.raises(WalkForwardError, match="154 days are too short: one window needs 155"):
        windows_of(154)


def test_an_empty_or_reversed_period_is_refused() -> None:
    for length in (0.0, -10.0):
        with pytest.raises(WalkForwardError, match="the period is empty"):
            windows_of(length)


def test_times_without_a_zone_are_refused() -> None:
    naive = Period(START.replace(tzinfo=None), days(365).end_at.replace(tzinfo=None))
    with pytest.raises(WalkForwardError, match="without a zone"):
        walk_forward(naive, choose_days=90, judge_days=30, pause_days=35)


@pytest.mark.parametrize(("choose", "judge", "pause"), [(0, 30, 0), (90, 0, 0), (90, 30, -1), (float("nan"), 30, 0)])
def test_lengths_that_cannot_be_are_refused(choose: float, judge: float, pause: float) -> None:
    with pytest.raises(WalkForwardError, match="not possible"):
        walk_forward(days(365), choose_days=choose, judge_days=judge, pause_days=pause)
