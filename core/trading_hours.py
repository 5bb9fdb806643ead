"""The daily pause around 08:00 UTC, when options expire and are delivered, and new ones are listed. Pure.

In: aware UTC times. Out: whether orders may leave then. Candidates, risk engine, execution and client all ask here.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta

SETTLEMENT_STARTS = time(7, 55)
SETTLEMENT_ENDS = time(8, 5)
DELIVERY_HOUR = 8


def in_settlement_window(moment: datetime) -> bool:
    """Whether a time lies in the daily pause: its start does, its end does not."""
    return SETTLEMENT_STARTS <= moment.time() < SETTLEMENT_ENDS


def settlement_problem(moment: datetime, lasting_seconds: float = 0.0) -> str | None:
    """Why no order may leave now; `lasting_seconds` is how long after that it may still arrive."""
    if in_settlement_window(moment) or in_settlement_window(moment + timedelta(seconds=lasting_seconds)):
        late = " and this one might arrive later" if lasting_seconds > 0.0 else ""
        return f"no orders from {SETTLEMENT_STARTS:%H:%M} to {SETTLEMENT_ENDS:%H:%M} UTC, it is {moment:%H:%M:%S}{late}"
    return None


def last_delivery(now: datetime) -> datetime:
    """The last 08:00 UTC: when options expire and new ones are listed."""
    today = now.replace(hour=DELIVERY_HOUR, minute=0, second=0, microsecond=0)
    return today if now >= today else today - timedelta(days=1)
