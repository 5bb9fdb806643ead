"""Cutting a period into a past to choose on and a future to judge on, again and again.

In: start and end of the whole period, lengths in days. Out: windows, oldest first, whose judged parts touch and never
overlap. Between the two parts of a window lies a pause at least as long as a call lives: what is sold at the end of
the past is settled before the future begins, so no outcome is known on both sides. Pure.

Source of the pause: Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 7 (purging).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple


class WalkForwardError(ValueError):
    """The period cannot be cut as asked; the message says what is missing."""


class Period(NamedTuple):
    """From `start_at` up to, but not including, `end_at`; aware UTC times."""

    start_at: datetime
    end_at: datetime

    @property
    def days(self) -> float:
        return (self.end_at - self.start_at) / timedelta(days=1)


class Window(NamedTuple):
    """One step of the walk: settings are chosen on `chosen_on` alone, then run once on `judged_on`."""

    chosen_on: Period
    judged_on: Period


def walk_forward(
    whole: Period, *, choose_days: float, judge_days: float, pause_days: float, keep_start: bool = False
) -> tuple[Window, ...]:
    """All windows that fit; with `keep_start` each past begins at the start of the period and grows.

    Raises WalkForwardError where not one fits. A rest shorter than `judge_days` at the end is left out.
    """
    _refuse_nonsense(whole, choose_days, judge_days, pause_days)
    choose, judge, pause = (timedelta(days=days) for days in (choose_days, judge_days, pause_days))
    windows = []
    judged_at = whole.start_at + choose + pause
    while judged_at + judge <= whole.end_at:
        chosen_until = judged_at - pause
        chosen_from = whole.start_at if keep_start else chosen_until - choose
        windows.append(Window(Period(chosen_from, chosen_until), Period(judged_at, judged_at + judge)))
        judged_at += judge
    if len(windows) == 0:
        needed = choose_days + pause_days + judge_days
        raise WalkForwardError(f"{whole.days:g} days are too short: one window needs {needed:g}")
    return tuple(windows)


def _refuse_nonsense(whole: Period, choose_days: float, judge_days: float, pause_days: float) -> None:
    if whole.start_at.tzinfo is None or whole.end_at.tzinfo is None:
        raise WalkForwardError("times without a zone: wanted UTC")
    if not whole.start_at < whole.end_at:
        raise WalkForwardError(f"the period is empty: {whole.start_at:%Y-%m-%d} to {whole.end_at:%Y-%m-%d}")
    if not (choose_days > 0.0 and judge_days > 0.0 and pause_days >= 0.0):
        raise WalkForwardError(
            f"{choose_days:g} days to choose, {judge_days:g} to judge, {pause_days:g} between: not possible"
        )
