"""When a quote can be used: how old it may be, what a crossed book is, where the middle lies. Pure.

In: prices in coin per contract, None where nobody quotes; aware UTC times; ages in seconds. Candidates, risk engine,
execution and client all ask here, so that none of them trades on what another one refuses.
"""

from __future__ import annotations

from datetime import datetime


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


def mid_price(bid: float | None, ask: float | None) -> float | None:
    """The middle of a two-sided quote, None where a side is missing."""
    return None if bid is None or ask is None else (bid + ask) / 2.0
