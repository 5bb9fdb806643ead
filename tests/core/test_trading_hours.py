"""The daily pause: five minutes before and after 08:00 UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.trading_hours import in_settlement_window, last_delivery, settlement_problem


def on_tuesday(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-06T{clock}+00:00")


@pytest.mark.parametrize(
    ("clock", "is_inside"),
    [("07:54:59", False), ("07:55:00", True), ("08:00:00", True), ("08:04:59", True), ("08:05:00", False)],
)
def test_the_pause_begins_at_five_to_eight_and_ends_at_five_past(clock: str, is_inside: bool) -> None:
    assert in_settlement_window(on_tuesday(clock)) is is_inside
    assert (settlement_problem(on_tuesday(clock)) is not None) is is_inside


@pytest.mark.parametrize(("clock", "is_refused"), [("07:54:49", False), ("07:54:50", True), ("08:04:59", True)])
def test_an_order_that_could_arrive_in_the_pause_does_not_leave(clock: str, is_refused: bool) -> None:
    assert (settlement_problem(on_tuesday(clock), lasting_seconds=10.0) is not None) is is_refused


def test_the_reason_says_what_time_it_is() -> None:
    assert settlement_problem(on_tuesday("08:01:02")) == "no orders from 07:55 to 08:05 UTC, it is 08:01:02"


@pytest.mark.parametrize(("clock", "day"), [("07:59:59", 5), ("08:00:00", 6), ("23:00:00", 6)])
def test_the_last_delivery_was_at_eight_today_or_yesterday(clock: str, day: int) -> None:
    assert last_delivery(on_tuesday(clock)) == datetime(2026, 1, day, 8, tzinfo=UTC)
