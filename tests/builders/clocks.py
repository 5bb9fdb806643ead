"""Clocks for tests: time that passes without anybody waiting for it.

In: starts (aware UTC), seconds. Out: the Clock and MarketClock protocols. Those in here run with the wall and can leap;
the paper exchange's `SimulatedClock` moves by sleeping; the campaign's pair of a true time and a clock that may be
wrong is in `true_time`. `agent_runs_on` gives the agent's command line another clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_double
from datetime import datetime
from multiprocessing.sharedctypes import RawValue

import pytest

from cli import setup as agent_setup
from deribit.clocks import SystemClock
from models import Clock
from paper_exchange.market.clocks import RunningClock

LEAP_STEP_SECONDS, WALL_STEP_SECONDS = 2.0, 0.002
LEAPT_FROM_SECONDS = 10.0  # shorter sleeps are real: an order rests, a request is tried again


class QuickStartClock(SystemClock):
    """The real time, but a long sleep (a start waits until orders of an earlier run are dead) is over at once.

    Only the seconds leap. The time of day stays, so that nothing takes the exchange's clock for a wrong one; the rest
    between two iterations is real, and a stop ends it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._leapt_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._leapt_seconds

    def sleep(self, seconds: float) -> None:
        if seconds < LEAPT_FROM_SECONDS:
            super().sleep(seconds)
        elif not self.is_stopped:
            self._leapt_seconds += seconds

    def wait_for_next(self, interval_seconds: float) -> bool:
        super().sleep(interval_seconds)
        return not self.is_stopped


class LeapClock(RunningClock):
    """Runs with the wall, `speed` times as fast, and leaps when told to. An exchange and an agent may share one."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._leapt_seconds = 0.0
        super().__init__(start, wall=time.monotonic, wall_sleep=time.sleep, speed=speed)

    def monotonic(self) -> float:
        return super().monotonic() + self._leapt_seconds

    def leap(self, seconds: float) -> None:
        self._leapt_seconds += seconds


class SharedClock(RunningClock):
    """Runs with the wall, `speed` times as fast; a long sleep of one process lets time run faster for all who share it.

    `leapt_seconds` (of `shared_seconds`) is handed to each of them. Nobody locks it: only one of them sleeps long at a
    time, and a process that is killed while it holds a lock would stop the others.
    """

    def __init__(self, start: datetime, speed: float, leapt_seconds: c_double) -> None:
        self._leapt_seconds = leapt_seconds
        self._leapt_before = leapt_seconds.value
        super().__init__(start, wall=time.monotonic, wall_sleep=time.sleep, speed=speed)

    def monotonic(self) -> float:
        return super().monotonic() + self._leapt_seconds.value - self._leapt_before

    def sleep(self, seconds: float) -> None:
        if seconds < LEAPT_FROM_SECONDS:
            return super().sleep(seconds)
        ends_at = self.monotonic() + seconds
        while self.monotonic() < ends_at:  # in steps, so that what happens meanwhile does happen meanwhile
            self._leapt_seconds.value += LEAP_STEP_SECONDS
            time.sleep(WALL_STEP_SECONDS)
        return None


def shared_seconds() -> c_double:
    return RawValue(c_double, 0.0)


@contextmanager
def agent_runs_on(clock: Callable[[], Clock]) -> Iterator[None]:
    """Where the agent's command line would take the system's clock, it takes this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_setup, "SystemClock", clock)
        yield
