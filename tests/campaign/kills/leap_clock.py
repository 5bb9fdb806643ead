"""A running clock that can be moved on at once: for waits of which only the end matters.

In: start, speed, leaps in seconds. Out: the Clock and MarketClock protocols. An exchange and an agent may share one.
"""

from __future__ import annotations

import time
from datetime import datetime

from paper_exchange.market.clocks import RunningClock


class LeapClock(RunningClock):
    """Runs with the wall, `speed` times as fast, and leaps when told to."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._leapt_seconds = 0.0
        super().__init__(start, wall=time.monotonic, wall_sleep=time.sleep, speed=speed)

    def monotonic(self) -> float:
        return super().monotonic() + self._leapt_seconds

    def leap(self, seconds: float) -> None:
        self._leapt_seconds += seconds
