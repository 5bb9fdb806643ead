"""When a quote can be used: how old, what is crossed, where the middle lies; what a sale asks and takes at least. Pure.

In: prices in coin per contract, None where nobody quotes (NaN in a column); aware UTC times; ages in seconds.
Candidates, risk engine, execution and client all ask here, so that none of them trades on what another one refuses.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, overload

import numpy as np

from core.columns import Bools, Floats, Number, larger

MIN_CONCESSION_TICKS = 2  # cheap options move by whole ticks: a percentage alone would never reach the other side
FLOAT_DUST = 1e-12  # far below any tick


def is_fresh(quoted_at: datetime, now: datetime, max_age_seconds: float) -> bool:
    """Whether a quote is young enough; one from the future by more than that is as wrong as an old one."""
    return is_young((now - quoted_at).total_seconds(), max_age_seconds)


@overload
def is_young(age_seconds: float, max_age_seconds: float) -> bool: ...
@overload
def is_young(age_seconds: Floats, max_age_seconds: float) -> Bools: ...
def is_young(age_seconds: Any, max_age_seconds: float) -> Any:
    """The same of an age, or of a column of them."""
    return abs(age_seconds) <= max_age_seconds


def age_problem(quoted_at: datetime, now: datetime, max_age_seconds: float) -> str | None:
    """What is wrong with the age of a quote, None where it is fresh."""
    if is_fresh(quoted_at, now, max_age_seconds):
        return None
    return f"{(now - quoted_at).total_seconds():.0f} s old, at most {max_age_seconds:g} s allowed"


def is_crossed(bid: float | None, ask: float | None) -> bool:
    """Whether a two-sided quote makes no sense: its bid is not at or below its ask."""
    return bid is not None and ask is not None and not bid <= ask


def crossed_rows(bid: Floats, ask: Floats) -> Bools:
    """The same of columns, where a missing side is NaN and compares with nothing."""
    return bid > ask


def spreads_in_pct(bid: Floats, ask: Floats) -> Floats:
    """The gap between bid and ask in percent of mid, NaN where a side is missing."""
    return 200.0 * (ask - bid) / (ask + bid)


def mid_price(bid: float | None, ask: float | None) -> float | None:
    """The middle of a two-sided quote, None where a side is missing."""
    return None if bid is None or ask is None else middle(bid, ask)


def middle(bid: Number, ask: Number) -> Number:
    return (bid + ask) / 2.0


# --- what a sale asks, and how far from the mark it may end ---------------------------------------


def asked_price(bid: float | None, ask: float | None, mark: float) -> float:
    """Where a sale begins: mid, or the mark where a side is missing."""
    mid = mid_price(bid, ask)
    return mark if mid is None else mid


def asked_rows(bid: Floats, ask: Floats, mark: Floats) -> Floats:
    """The same of columns."""
    mids = middle(bid, ask)
    return np.where(np.isnan(mids), mark, mids)


def are_offered_at_mark(bid: Floats, ask: Floats, mark: Floats, requires_bid: bool) -> Bools:
    """Whether a sale is not worked towards a bid but offered at the mark and left to rest there.

    So it is where a side is missing, no bid is required, and nobody bids as much as the mark.
    """
    if requires_bid:
        return np.zeros(len(bid), dtype=np.bool_)
    is_one_sided = np.isnan(bid) | np.isnan(ask)
    return is_one_sided & ~(bid >= mark)


def sale_floor(bid: Number, asked: Number, concession_pct: float, tick: Number) -> Number:
    """The least a sale takes: what it may give up from the price asked, and never less than somebody bids.

    `bid` is 0 where nobody does.
    """
    return larger(asked - percent_or_two_ticks(asked, concession_pct, tick), bid)


@overload
def is_inside_collar(price: float, mark: float, collar_pct: float, tick: float) -> bool: ...
@overload
def is_inside_collar(price: Floats, mark: Floats, collar_pct: float, tick: Floats) -> Bools: ...
def is_inside_collar(price: Any, mark: Any, collar_pct: float, tick: Any) -> Any:
    """Whether a sale at this price is not too far below the mark."""
    return mark - price <= percent_or_two_ticks(mark, collar_pct, tick) + FLOAT_DUST


def percent_or_two_ticks(price: Number, pct: float, tick: Number) -> Number:
    return larger(price * pct / 100.0, MIN_CONCESSION_TICKS * tick)
