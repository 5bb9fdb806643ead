"""The real time, for the age of a line: the one place of the dashboard that asks for it.

In: nothing. Out: aware UTC. Everything else is handed a clock, so that tests can say what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def real_now() -> datetime:
    """Aware UTC time of this machine."""
    return datetime.now(UTC)
