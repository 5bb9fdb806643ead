"""The two clocks of a real run: this machine's, which sleeps and can be woken, and the exchange's.

In: the local time, the times that replies name. Out: aware UTC times; durations in seconds. The only file that asks
this machine for the time.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from time import monotonic

from models import Clock, InvalidReplyError

MAX_CLOCK_JUMP_SECONDS = 60.0


class SystemClock:
    """The real time. `stop` wakes a sleeper, for a clean end on a signal.

    A signal handler calls `stop` between any two instructions of the thread that sleeps. A lock that this thread may
    hold just then (as inside a threading.Event) would never be free again; SimpleQueue.put is made for such callers.
    """

    def __init__(self) -> None:
        self._is_stopped = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> None:
        """At once where the clock is stopped."""
        if not self._is_stopped:
            with suppress(Empty):
                self._wake.get(timeout=max(0.0, seconds))

    def wait_for_next(self, interval_seconds: float) -> bool:
        self.sleep(interval_seconds)
        return not self._is_stopped

    def stop(self) -> None:
        self._is_stopped = True
        self._wake.put(None)

    @property
    def is_stopped(self) -> bool:
        return self._is_stopped


class ServerClock:
    """The exchange's time: what its last reply said, carried on by the local clock that never steps back."""

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._last_reading: tuple[datetime, float] | None = None  # exchange time, our monotonic seconds
        self._doubted: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The local time until the first reply of the exchange."""
        return self._local.now() if self._last_reading is None else self._carried_on(self._last_reading)

    def hear(self, moment: datetime) -> None:
        """Take over a time. One that jumps raises InvalidReplyError, until a second reply confirms it."""
        heard = (moment, self._local.monotonic())
        if self._is_far_from(self._last_reading, moment) and (
            self._doubted is None or self._is_far_from(self._doubted, moment)
        ):
            self._doubted = heard
            raise InvalidReplyError(
                f"the exchange's clock jumped to {moment:%Y-%m-%d %H:%M:%S}: ignored until a second reply confirms it"
            )
        self._last_reading, self._doubted = heard, None

    def _carried_on(self, heard: tuple[datetime, float]) -> datetime:
        return heard[0] + timedelta(seconds=self._local.monotonic() - heard[1])

    def _is_far_from(self, heard: tuple[datetime, float] | None, moment: datetime) -> bool:
        if heard is None:
            return False
        return abs((moment - self._carried_on(heard)).total_seconds()) > MAX_CLOCK_JUMP_SECONDS
