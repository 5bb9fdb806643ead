"""Arithmetic that is the same for one number and for a column of them, so that each formula stands in one place.

In and out: floats, or numpy arrays of float64 with one row an option, NaN where nobody knows. A column gives in each
row exactly what the number alone gives: logarithm and error function are those of the standard library, because numpy
has no error function, and a logarithm whose last digit may differ from processor to processor. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Times = NDArray[np.datetime64]  # UTC in microseconds, NaT where nobody knows

ONE_SECOND = np.timedelta64(1, "s")
Number = TypeVar("Number", float, Floats)


def each(function: Callable[[float], float], value: Number) -> Number:
    """A function of the standard library, of a number or of every row."""
    if isinstance(value, np.ndarray):
        return np.fromiter(map(function, value.tolist()), dtype=np.float64, count=len(value))
    return function(value)


def square_root(value: Number) -> Number:
    """Exactly rounded by the standard library and by numpy alike."""
    return np.sqrt(value) if isinstance(value, np.ndarray) else math.sqrt(value)


def above_zero(column: Floats) -> Floats:
    """NaN where an entry is not above zero: an exchange writes 0 for a price that nobody quotes."""
    return np.where(column > 0.0, column, np.nan)


def larger(first: Number, second: Number | float) -> Number:
    if isinstance(first, np.ndarray):
        column: Floats = np.maximum(first, second)
        return column
    return max(first, second)


def smaller(first: Number, second: Number | float) -> Number:
    if isinstance(first, np.ndarray):
        column: Floats = np.minimum(first, second)
        return column
    return min(first, second)


def rounded(value: Number, digits: int) -> Number:
    if isinstance(value, np.ndarray):
        return value.round(digits)
    return round(value, digits)


def where_above(value: Number, limit: Number, above: Number, otherwise: Number) -> Number:
    """`above` where the value is above the limit, else `otherwise`."""
    if isinstance(value, np.ndarray):
        column: Floats = np.where(value > limit, above, otherwise)
        return column
    return above if value > limit else otherwise


# --- times ----------------------------------------------------------------------------------


@lru_cache(maxsize=256)  # each moment is asked for a dozen times, the expiries at every moment
def time_of(moment: datetime) -> np.datetime64:
    """An aware time as an entry of a column."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def times_of(moments: Iterable[datetime | None]) -> Times:
    listed = list(moments)
    entries = {moment: None if moment is None else time_of(moment) for moment in set(listed)}  # expiries are few
    return np.array([*map(entries.__getitem__, listed)], dtype="datetime64[us]")


def utc_in(times: Times, row: int) -> datetime | None:
    """An entry of a column as an aware time, None where nobody knows it."""
    moment: Any = times.item(row)
    aware: datetime | None = None if moment is None else moment.replace(tzinfo=UTC)
    return aware


def utcs_of(times: Times) -> list[datetime]:
    """All entries of a column, every one of them known."""
    return [moment.replace(tzinfo=UTC) for moment in times.tolist()]


def seconds_until(end: Times, start: np.datetime64) -> Floats:
    """From one moment to each of many; the same to the last digit as datetime's total_seconds()."""
    seconds: Floats = (end - start) / ONE_SECOND
    return seconds
