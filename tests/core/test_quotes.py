"""When a quote can be used: its age, a crossed book, the middle."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from core.quotes import age_problem, is_crossed, is_fresh, mid_price

NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age_seconds", "is_young"),
    [(0.0, True), (60.0, True), (60.001, False), (-60.0, True), (-60.001, False)],
)
def test_a_quote_is_fresh_within_the_limit_on_both_sides_of_now(age_seconds: float, is_young: bool) -> None:
    quoted_at = NOON - timedelta(seconds=age_seconds)
    assert is_fresh(quoted_at, NOON, 60.0) is is_young
    assert (age_problem(quoted_at, NOON, 60.0) is None) is is_young


def test_the_problem_says_how_old_a_quote_is_and_how_old_it_may_be() -> None:
    assert age_problem(NOON - timedelta(seconds=75), NOON, 60.0) == "75 s old, at most 60 s allowed"


@pytest.mark.parametrize(
    ("bid", "ask", "crossed"),
    [(0.01, 0.02, False), (0.02, 0.02, False), (0.02, 0.0199, True), (None, 0.02, False), (0.02, None, False)],
)
def test_a_book_is_crossed_where_its_bid_lies_above_its_ask(
    bid: float | None, ask: float | None, crossed: bool
) -> None:
    assert is_crossed(bid, ask) is crossed


def test_a_price_that_is_no_number_makes_a_book_crossed() -> None:
    assert is_crossed(math.nan, 0.02)
    assert is_crossed(0.02, math.nan)


def test_the_middle_needs_both_sides() -> None:
    assert mid_price(0.01, 0.03) == 0.02
    assert mid_price(None, 0.03) is None
    assert mid_price(0.01, None) is None
