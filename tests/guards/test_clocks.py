"""The tests' own clocks do what the tests built on them rely on."""

from __future__ import annotations

import time
from datetime import timedelta

from tests.builders.clocks import QuickStartClock, SharedClock, shared_seconds
from tests.builders.paper import START


def test_a_long_sleep_takes_no_time_and_leaves_the_time_of_day_as_it_is() -> None:
    clock, began = QuickStartClock(), time.monotonic()
    seconds, now = clock.monotonic(), clock.now()
    clock.sleep(3_600.0)
    assert clock.monotonic() - seconds >= 3_600.0
    assert clock.now() - now < timedelta(minutes=30)
    assert time.monotonic() - began < 1_800.0


def test_a_clock_that_was_stopped_no_longer_leaps() -> None:
    clock = QuickStartClock()
    clock.stop()
    clock.sleep(3_600.0)
    assert clock.monotonic() - time.monotonic() < 1_800.0
    assert not clock.wait_for_next(3_600.0)


def test_those_who_share_a_clock_all_see_it_leap() -> None:
    leapt_seconds = shared_seconds()
    exchange, agent = (SharedClock(START, 1.0, leapt_seconds) for _ in range(2))
    agent.sleep(120.0)
    assert exchange.now() - START >= timedelta(minutes=2)
    late = SharedClock(START, 1.0, leapt_seconds)
    assert late.now() - START < timedelta(minutes=2)
