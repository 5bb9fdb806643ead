"""Figures from outside, checked before anything is computed of them.

In: any sequence of numbers. Out: a numpy column. Too few, NaN, infinite or unmoving ones are a NotEnoughDataError with
a sentence that says so: a statistic of nothing is refused, never guessed. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = Sequence[float] | Floats


class NotEnoughDataError(ValueError):
    """The data does not carry the statistic that was asked for; the message says why."""


def column(values: Numbers, what: str, least: int = 2) -> Floats:
    """At least `least` finite numbers, as one column."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or found.size < least:
        raise NotEnoughDataError(f"{what}: {found.size}, at least {least} in one column are needed")
    refuse_gaps(found, what)
    return found


def refuse_gaps(values: Floats, what: str) -> None:
    """NaN and infinity are gaps; which of them to leave out is the caller's decision."""
    gaps = np.argwhere(~np.isfinite(values))
    if len(gaps) > 0:
        place = ", ".join(str(index) for index in gaps[0])
        raise NotEnoughDataError(f"{what}: {len(gaps)} not known, the first at {place}")
