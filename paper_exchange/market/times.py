"""Deribit's trading session, which turns at 08:00 UTC, and the microseconds of its replies.

In and out: milliseconds since 1970 and aware UTC datetimes. Pure: no clock is read here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from paper_exchange.market.clocks import DAY_MS, EPOCH, HOUR_MS

SETTLEMENT_OFFSET_MS = 8 * HOUR_MS
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970, as in usIn and usOut."""
    return (moment - EPOCH) // _MICROSECOND


def session_start_ms(now_ms: int) -> int:
    """The last 08:00 UTC at or before now."""
    return (now_ms - SETTLEMENT_OFFSET_MS) // DAY_MS * DAY_MS + SETTLEMENT_OFFSET_MS
