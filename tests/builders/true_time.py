"""Time in the campaign: the exchange's true time, and the agent's clock, which may be wrong.

In: a start (aware UTC), seconds. Out: aware UTC times. Only `TrueTime.sleep` lets time pass; what is due on the way (a
request that arrives late, an outside act) happens at its own moment. The agent's clock is off by a skew that
depends on the true time alone; its monotonic seconds are true.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count

STEP_SECONDS = 5.0  # resting orders look at the quotes this often while somebody sleeps
MOST_STEPS = 12
STEP = timedelta(seconds=STEP_SECONDS)


class TrueTime:
    """The exchange's clock. `on_step` is called while time passes and something may trade meanwhile."""

    is_stopped = False

    def __init__(self, start: datetime) -> None:
        self._start = self._now = start.astimezone(UTC)
        self._elapsed_seconds = 0.0
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = count()
        self.on_step: Callable[[], bool] = lambda: False  # True: there is something that may trade

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed_seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass, in steps while orders rest."""
        until = self._now + timedelta(seconds=max(0.0, seconds))
        steps = 0
        while steps < MOST_STEPS and self._now + STEP < until and self.on_step():
            self._move_to(self._now + STEP)
            steps += 1
        self._move_to(until)

    def wait_for_next(self, interval_seconds: float) -> bool:
        self.sleep(interval_seconds)
        return True

    def at(self, moment: datetime, act: Callable[[], None]) -> None:
        """Have something happen when time has come to a moment."""
        heappush(self._due, (moment, next(self._number), act))

    def _move_to(self, until: datetime) -> None:
        while self._due and self._due[0][0] <= until:
            moment, _, act = heappop(self._due)
            self._set(moment)
            act()
        self._set(until)

    def _set(self, moment: datetime) -> None:
        """Time never steps back. Its seconds are asked for far more often than they change."""
        if moment > self._now:
            self._now = moment
            self._elapsed_seconds = (moment - self._start).total_seconds()


class AgentClock:
    """What the agent takes for the time. `between` is asked between two iterations: False ends the loop."""

    def __init__(self, time: TrueTime, skew_seconds: Callable[[float], float]) -> None:
        self._time = time
        self._skew_seconds = skew_seconds
        self.is_stopped = False
        self.on_sleep: Callable[[float], None] = lambda _: None
        self.between: Callable[[], bool] = lambda: True
        self.on_wake: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self._time.now() + timedelta(seconds=self._skew_seconds(self._time.monotonic()))

    def monotonic(self) -> float:
        return self._time.monotonic()

    def sleep(self, seconds: float) -> None:
        self.on_sleep(seconds)
        if not self.is_stopped:
            self._time.sleep(seconds)

    def wait_for_next(self, interval_seconds: float) -> bool:
        if not self.between():
            return False
        self.sleep(interval_seconds)
        if self.is_stopped:
            return False
        self.on_wake()
        return True

    def stop(self) -> None:
        """Wake whoever sleeps, now and from here on."""
        self.is_stopped = True
