"""Where rows are missing: hours or days that should be there, and silences that are not usual.

In: times of rows in ms, what to expect of them. Out: gaps. A gap is no error: the exchange has been down, or listed
nothing yet; it is listed so that nobody computes over it unknowing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, pairwise
from typing import NamedTuple

from backtest.download.datasets import Dataset
from backtest.download.paging import Span


class Gap(NamedTuple):
    """From the first missing moment up to the next row; `missing` rows, 0 where their number is not known."""

    start_ms: int
    end_ms: int
    missing: int


def find_gaps(dataset: Dataset, times_ms: Iterable[int], span: Span) -> list[Gap]:
    """All gaps of a span, oldest first, as the times must be. Of millions of times none is kept."""
    start_ms = max(span.start_ms, dataset.began_ms)
    inside = (time_ms for time_ms in times_ms if start_ms <= time_ms < span.end_ms)
    if dataset.step_ms > 0:
        return _missing_steps(inside, Span(start_ms, span.end_ms - dataset.known_after_ms), dataset.step_ms)
    if dataset.silence_ms > 0:
        return _silences(chain([start_ms], inside, [span.end_ms]), dataset.silence_ms)
    return []


def _missing_steps(times_ms: Iterable[int], span: Span, step_ms: int) -> list[Gap]:
    """Rows are expected on every step of the clock that lies in the span."""
    first_ms, last_ms = _rounded_up(span.start_ms, step_ms), _rounded_up(span.end_ms, step_ms)
    on_steps = (time_ms // step_ms * step_ms for time_ms in times_ms)
    ends = chain([first_ms - step_ms], on_steps, [last_ms])
    return [
        Gap(before + step_ms, after, (after - before) // step_ms - 1)
        for before, after in pairwise(ends)
        if after - before > step_ms
    ]


def _rounded_up(time_ms: int, step_ms: int) -> int:
    return -(-time_ms // step_ms) * step_ms


def _silences(times_ms: Iterable[int], longest_ms: int) -> list[Gap]:
    return [Gap(before, after, 0) for before, after in pairwise(times_ms) if after - before > longest_ms]
