"""Numbers as the pages write them: what is not known is a dash, in every format."""

from __future__ import annotations

import pytest

from dashboard.pages import UNKNOWN, coin, duration, moment, number, percent, short_moment


@pytest.mark.parametrize("format_", [number, coin, percent, moment, short_moment, duration])
def test_what_is_not_known_is_a_dash(format_: object) -> None:
    assert callable(format_)
    assert format_(None) == UNKNOWN


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0, 5, "0.00"), (0.10, 5, "0.10"), (-0.00123, 5, "−0.00123"), (1.5, 2, "1.50"), (-1e-9, 5, "0.00")],
)
def test_an_amount_in_coin_keeps_two_decimals_at_least(value: float, digits: int, text: str) -> None:
    assert coin(value, digits) == text
