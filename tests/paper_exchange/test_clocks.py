"""The clocks of the markets: what moves them and what does not. No real time passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paper_exchange.market.clocks import (
    FollowingClock,
    RecordedClock,
    RunningClock,
    SimulatedClock,
    from_ms,
    now_ms,
    to_ms,
)

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def test_sleeping_in_a_simulation_moves_its_time_and_returns() -> None:
    clock = SimulatedClock(START)
    clock.sleep(300.0)
    assert clock.now() == START + timedelta(seconds=300)
    assert clock.monotonic() == 300.0
    assert clock.wait_for_next(60.0)
    clock.sleep(-5.0)
    assert clock.now() == START + timedelta(seconds=360)


def test_a_clock_that_follows_an_exchange_is_stopped_with_the_local_one() -> None:
    local = SimulatedClock(START)
    clock = FollowingClock(local)
    assert not clock.is_stopped
    local.is_stopped = True
    assert clock.is_stopped


def test_a_running_clock_follows_the_wall_at_its_speed() -> None:
    wall_seconds = [1000.0]
    slept: list[float] = []
    clock = RunningClock(START, lambda: wall_seconds[0], slept.append, speed=60.0)
    wall_seconds[0] += 2.0
    clock.sleep(30.0)
    assert clock.now() == START + timedelta(minutes=2)
    assert slept == [0.5]


def test_a_clock_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        SimulatedClock(datetime(2026, 1, 5))  # noqa: DTZ001


def test_a_recorded_clock_jumps_to_the_next_snapshot_whatever_the_interval() -> None:
    clock = RecordedClock([3_000, 1_000, 2_000, 2_000])
    seen = [now_ms(clock)]
    while clock.wait_for_next(300.0):
        seen.append(now_ms(clock))
    assert seen == [1_000, 2_000, 3_000]
    assert clock.monotonic() == 2.0


def test_a_recorded_clock_that_slept_past_the_end_has_nothing_more() -> None:
    clock = RecordedClock([1_000, 2_000])
    clock.sleep(60.0)
    assert now_ms(clock) == 61_000
    assert not clock.wait_for_next(300.0)
    assert now_ms(clock) == 61_000


def test_milliseconds_and_datetimes_convert_back_and_forth_exactly() -> None:
    assert to_ms(from_ms(1_767_600_000_123)) == 1_767_600_000_123
    assert from_ms(0) == datetime(1970, 1, 1, tzinfo=UTC)
