"""Clocks of the markets: simulated, recorded, and one that runs with wall time.

In: start or wake times, seconds. Out: aware UTC datetimes, or milliseconds since 1970 through `now_ms`. Only
RunningClock lets real time pass, through the two functions handed to it; the others move when asked to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from paper_exchange.market.market import Market, MarketClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS  # the year of Deribit's mark prices
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, rounded down."""
    return (moment - EPOCH) // _MILLISECOND


@lru_cache(maxsize=4096)  # closes and expiries are the same ones again and again
def from_ms(time_ms: int) -> datetime:
    """Aware UTC datetime of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=time_ms)


def now_ms(clock: MarketClock) -> int:
    """The clock's time in milliseconds since 1970."""
    return to_ms(clock.now())


class Milliseconds:
    """A market's time in milliseconds, worked out once for as long as time stands."""

    __slots__ = ("_market", "_moment", "_moment_ms")

    def __init__(self, market: Market) -> None:
        self._market = market
        self._moment, self._moment_ms = EPOCH, 0

    def now(self) -> int:
        moment = self._market.clock.now()
        if moment is not self._moment:
            self._moment, self._moment_ms = moment, to_ms(moment)
        return self._moment_ms


class SimulatedClock:
    """Time moves only by sleeping, and sleeping returns at once."""

    is_stopped = False  # its runs end by themselves

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("the start of a simulated clock needs a time zone")
        self._start = start.astimezone(UTC)
        self._now = self._start

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=max(0.0, seconds))

    def wait_for_next(self, interval_seconds: float) -> bool:
        self.sleep(interval_seconds)
        return True


class RecordedClock:
    """Wakes at the snapshots of a recording, in order, and ends after the last."""

    is_stopped = False  # its runs end by themselves

    def __init__(self, wake_times_ms: Sequence[int]) -> None:
        if len(wake_times_ms) == 0:
            raise ValueError("a recorded clock needs at least one snapshot")
        self._wake_times_ms = sorted(set(wake_times_ms))
        self._start = from_ms(self._wake_times_ms[0])
        self._now = self._start

    @property
    def ends_at(self) -> datetime:
        """The last snapshot."""
        return from_ms(self._wake_times_ms[-1])

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=max(0.0, seconds))

    def wait_for_next(self, interval_seconds: float) -> bool:  # noqa: ARG002 - the recording sets the pace
        position = bisect_right(self._wake_times_ms, to_ms(self._now))
        if position == len(self._wake_times_ms):
            return False
        self._now = from_ms(self._wake_times_ms[position])
        return True


class RunningClock:
    """Starts at a chosen time and runs with the wall clock, `speed` times as fast."""

    is_stopped = False  # its runs end by themselves

    def __init__(
        self, start: datetime, wall: Callable[[], float], wall_sleep: Callable[[float], None], speed: float = 1.0
    ) -> None:
        if start.tzinfo is None or not speed > 0.0:
            raise ValueError("a running clock needs a start with a time zone and a speed above 0")
        self._start = start.astimezone(UTC)
        self._wall = wall
        self._wall_sleep = wall_sleep
        self._speed = speed
        self._wall_start_seconds = wall()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (self._wall() - self._wall_start_seconds) * self._speed

    def sleep(self, seconds: float) -> None:
        self._wall_sleep(max(0.0, seconds) / self._speed)

    def wait_for_next(self, interval_seconds: float) -> bool:
        self.sleep(interval_seconds)
        return True


class FollowingClock:
    """An exchange's time: the local clock, corrected by what the exchange's last reply said."""

    def __init__(self, local: MarketClock) -> None:
        self._local = local
        self._ahead = timedelta(0)
        self.has_followed = False

    @property
    def is_stopped(self) -> bool:
        return self._local.is_stopped

    def now(self) -> datetime:
        return self._local.now() + self._ahead

    def monotonic(self) -> float:
        return self._local.monotonic()

    def sleep(self, seconds: float) -> None:
        self._local.sleep(seconds)

    def wait_for_next(self, interval_seconds: float) -> bool:
        return self._local.wait_for_next(interval_seconds)

    def follow(self, exchange_now: datetime) -> None:
        """Take over the exchange's time as of now."""
        self._ahead = exchange_now - self._local.now()
        self.has_followed = True
