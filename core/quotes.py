"""When a quote can be used: how old, what is crossed, where the middle lies; what a sale asks and takes at least. Pure.

In: prices in coin per contract, None where nobody quotes; aware UTC times; ages in seconds. Candidates, risk engine,
execution and client all ask here, so that none of them trades on what another one refuses.
"""

from __future__ import annotations

from datetime import datetime

MIN_CONCESSION_TICKS = 2  # cheap options move by whole ticks: a percentage alone would never reach the other side
FLOAT_DUST = 1e-12  # far below any tick


def is_fresh(quoted_at: datetime, now: datetime, max_age_seconds: float) -> bool:
    """Whether a quote is young enough; one from the future by more than that is as wrong as an old one."""
    return abs((now - quoted_at).total_seconds()) <= max_age_seconds


def age_problem(quoted_at: datetime, now: datetime, max_age_seconds: float) -> str | None:
    """What is wrong with the age of a quote, None where it is fresh."""
    if is_fresh(quoted_at, now, max_age_seconds):
        return None
    return f"{(now - quoted_at).total_seconds():.0f} s old, at most {max_age_seconds:g} s allowed"


def is_crossed(bid: float | None, ask: float | None) -> bool:
    """Whether a two-sided quote makes no sense: its bid is not surely at or below its ask."""
    return bid is not None and ask is not None and not bid <= ask


def spread_in_pct(bid: float | None, ask: float | None) -> float | None:
    """The gap between bid and ask in percent of mid, None where a side is missing."""
    return None if bid is None or ask is None else 200.0 * (ask - bid) / (ask + bid)


def mid_price(bid: float | None, ask: float | None) -> float | None:
    """The middle of a two-sided quote, None where a side is missing."""
    return None if bid is None or ask is None else (bid + ask) / 2.0


# --- what a sale asks, and how far from the mark it may end ---------------------------------------


def asked_price(bid: float | None, ask: float | None, mark: float) -> float:
    """Where a sale begins: mid, or the mark where a side is missing."""
    mid = mid_price(bid, ask)
    return mark if mid is None else mid


def is_offered_at_mark(bid: float | None, ask: float | None, mark: float, requires_bid: bool) -> bool:
    """Whether a sale is not worked towards a bid but offered at the mark and left to rest there.

    So it is where a side is missing, no bid is required, and nobody bids as much as the mark.
    """
    is_one_sided = bid is None or ask is None
    return not requires_bid and is_one_sided and not (bid is not None and bid >= mark)


def sale_floor(bid: float | None, asked: float, concession_pct: float, tick: float) -> float:
    """The least a sale takes: what it may give up from the price asked, and never less than somebody bids."""
    return max(bid or 0.0, asked - percent_or_two_ticks(asked, concession_pct, tick))


def is_inside_collar(price: float, mark: float, collar_pct: float, tick: float) -> bool:
    """Whether a sale at this price is not too far below the mark."""
    return mark - price <= percent_or_two_ticks(mark, collar_pct, tick) + FLOAT_DUST


def percent_or_two_ticks(price: float, pct: float, tick: float) -> float:
    return max(price * pct / 100.0, MIN_CONCESSION_TICKS * tick)
