"""What cannot be is not believed at once: prices that leap, calls that vanish. And what explains them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.plausibility import MAX_GAP, LastSeen
from models import AgentState
from tests.builders.states import (
    EXPIRY,
    NOW,
    a_market,
    a_raw_position,
    a_short_call,
    a_state,
    an_account,
    symbol_of,
)

SPOT_USD, IV_FRACTION = 100_000.0, 0.5
ETH_CALL = symbol_of("ETH")


def doubts(last: LastSeen, minutes: float = 5.0, **fields: Any) -> list[str]:
    """What is doubted about a BTC market read some minutes later."""
    market = a_market("BTC", **{"spot_usd": SPOT_USD, "atm_iv_fraction": IV_FRACTION, **fields})
    return [doubt.partition(" jumped")[0] for doubt in last.doubts_about((market,), NOW + timedelta(minutes=minutes))]


def seen_once() -> LastSeen:
    last = LastSeen()
    assert doubts(last, minutes=0.0) == []
    return last


# --- prices --------------------------------------------------------------------------------------


def test_the_first_reading_is_believed_whatever_it_says() -> None:
    assert doubts(LastSeen(), spot_usd=1.0, atm_iv_fraction=9.0) == []


@pytest.mark.parametrize(
    ("ratio", "found"), [(1.0, []), (1.19, []), (1.2, []), (1.21, ["BTC spot"]), (1.5, ["BTC spot"])]
)
def test_a_spot_may_move_by_a_fifth_between_two_readings_up_or_down(ratio: float, found: list[str]) -> None:
    assert doubts(seen_once(), spot_usd=SPOT_USD * ratio) == found
    assert doubts(seen_once(), spot_usd=SPOT_USD / ratio) == found


@pytest.mark.parametrize(("ratio", "found"), [(1.0, []), (1.9, []), (2.0, []), (2.01, ["BTC IV"]), (5.0, ["BTC IV"])])
def test_a_volatility_may_double_or_halve_between_two_readings(ratio: float, found: list[str]) -> None:
    assert doubts(seen_once(), atm_iv_fraction=IV_FRACTION * ratio) == found
    assert doubts(seen_once(), atm_iv_fraction=IV_FRACTION / ratio) == found


def test_a_leap_that_is_seen_a_second_time_is_believed() -> None:
    last = seen_once()
    assert doubts(last, 5.0, spot_usd=130_000.0) == ["BTC spot"]
    assert doubts(last, 10.0, spot_usd=131_000.0) == []
    assert doubts(last, 15.0, spot_usd=100_000.0) == ["BTC spot"]


def test_a_leap_and_back_again_is_never_believed_and_the_way_back_is_no_leap() -> None:
    last = seen_once()
    for minutes in (5.0, 15.0, 25.0):
        assert doubts(last, minutes, spot_usd=130_000.0) == ["BTC spot"]
        assert doubts(last, minutes + 5.0) == []


def test_two_different_leaps_confirm_nothing() -> None:
    last = seen_once()
    for minutes, spot_usd in ((5.0, 130_000.0), (10.0, 70_000.0), (15.0, 170_000.0)):
        assert doubts(last, minutes, spot_usd=spot_usd) == ["BTC spot"]


def test_a_volatility_that_is_not_known_is_no_leap_and_is_not_remembered() -> None:
    last = seen_once()
    assert doubts(last, 5.0, atm_iv_fraction=None) == []
    assert doubts(last, 10.0, atm_iv_fraction=2.0) == ["BTC IV"]


@pytest.mark.parametrize(("seconds", "found"), [(-1.0, ["BTC spot"]), (0.0, ["BTC spot"]), (1.0, [])])
def test_after_a_pause_of_more_than_an_hour_a_leap_is_no_surprise(seconds: float, found: list[str]) -> None:
    minutes = (MAX_GAP.total_seconds() + seconds) / 60.0
    assert doubts(seen_once(), minutes, spot_usd=200_000.0) == found


@pytest.mark.parametrize(
    ("ratio", "is_doubted"), [(1.0, False), (1.5, False), (0.667, False), (1.51, True), (10.0, True), (0.1, True)]
)
@pytest.mark.parametrize("minutes", [61.0, 360.0, 6000.0])
def test_after_a_pause_an_index_is_held_against_its_forward(ratio: float, is_doubted: bool, minutes: float) -> None:
    last = seen_once()
    assert bool(doubts(last, minutes, spot_usd=SPOT_USD * ratio, forward_usd=SPOT_USD)) == is_doubted
    assert doubts(last, 2 * minutes, forward_usd=SPOT_USD) == []


def test_a_crash_in_a_pause_that_the_forward_went_along_with_is_believed() -> None:
    assert doubts(seen_once(), 61.0, spot_usd=SPOT_USD / 3.0, forward_usd=SPOT_USD / 3.0) == []


def test_an_index_that_stays_far_from_its_forward_is_believed_at_the_second_reading() -> None:
    last = LastSeen()
    assert doubts(last, spot_usd=SPOT_USD, forward_usd=2.0 * SPOT_USD) != []
    assert doubts(last, spot_usd=SPOT_USD, forward_usd=2.0 * SPOT_USD) == []


def test_a_leap_of_one_coin_says_nothing_about_the_other() -> None:
    last = LastSeen()
    list(last.doubts_about((a_market("BTC"), a_market("ETH")), NOW))
    found = list(last.doubts_about((a_market("BTC"), a_market("ETH", spot_usd=8_000.0)), NOW))
    assert [doubt.partition(" jumped")[0] for doubt in found] == ["ETH spot"]


def test_readings_of_an_earlier_run_are_what_the_first_one_of_this_run_is_held_against() -> None:
    last = LastSeen()
    last.remember_markets((a_market(),), NOW)
    assert doubts(last, spot_usd=130_000.0) == ["BTC spot"]


def test_the_doubt_names_both_figures() -> None:
    last = seen_once()
    market = a_market(spot_usd=130_000.0)
    (doubt,) = last.doubts_about((market,), NOW + timedelta(minutes=5))
    assert doubt == "BTC spot jumped from 100000 to 130000: ignored until a second reading confirms it"


# --- positions ----------------------------------------------------------------------------------------


def holding(*held: Any) -> LastSeen:
    """A memory of a state with these positions."""
    last = LastSeen()
    last.remember_state(a_state(positions=held))
    return last


def missing(last: LastSeen, *positions: Any, hours: float = 0.1, **account: Any) -> str | None:
    accounts = (an_account("BTC", **account), an_account("ETH"))
    return last.missing_from(positions, accounts, NOW + timedelta(hours=hours))


def test_what_is_still_there_is_not_missing() -> None:
    last = holding(a_short_call(size=0.3), a_short_call("ETH", size=2.0))
    positions = (a_raw_position(size=-0.3), a_raw_position(ETH_CALL, size=-2.0))
    assert missing(last, *positions) is None


@pytest.mark.parametrize(("size", "is_missing"), [(-0.4, False), (-0.3, False), (-0.2, True), (0.1, True)])
def test_a_sold_call_that_became_less_without_being_bought_back_is_missing(size: float, is_missing: bool) -> None:
    problem = missing(holding(a_short_call(size=0.3)), a_raw_position(size=size))
    assert (problem is not None) is is_missing


def test_a_sold_call_that_is_gone_is_missing_and_named() -> None:
    problem = missing(holding(a_short_call(size=0.3)))
    assert problem == f"{symbol_of()} was -0.3 and is 0, although we bought nothing back"


@pytest.mark.parametrize(("seconds", "is_missing"), [(-1.0, True), (0.0, False), (1.0, False)])
def test_a_call_that_has_expired_is_not_missed(seconds: float, is_missing: bool) -> None:
    hours = ((EXPIRY - NOW).total_seconds() + seconds) / 3600.0
    assert (missing(holding(a_short_call()), hours=hours) is not None) is is_missing


def test_a_bought_option_that_is_gone_is_not_missed() -> None:
    assert missing(holding(a_short_call(side="long"))) is None


def test_after_a_buy_back_its_call_is_not_missed_until_positions_were_read_again() -> None:
    last = holding(a_short_call(size=0.3))
    last.expect_smaller_position(symbol_of())
    assert missing(last) is None
    last.remember_state(a_state(positions=(a_short_call(size=0.2),)))
    assert missing(last) is not None


def test_after_a_buy_back_of_one_coin_a_call_of_the_other_is_still_missed() -> None:
    last = holding(a_short_call(size=0.3), a_short_call("ETH", size=2.0))
    last.expect_smaller_position(symbol_of())
    assert (missing(last) or "").startswith(f"{ETH_CALL} was -2 and is 0")


@pytest.mark.parametrize(
    ("value_coin", "positions", "is_missing"),
    [
        (0.0, (), False),
        (-0.01, (), True),
        (0.01, (), True),
        (-0.01, (a_raw_position(),), False),
        (-0.01, (a_raw_position("BTC-PERPETUAL", kind="future"),), True),
        (-0.01, (a_raw_position(ETH_CALL),), True),
        (1e-10, (), False),
    ],
)
def test_an_account_that_counts_options_in_its_value_lists_some(
    value_coin: float, positions: tuple[Any, ...], is_missing: bool
) -> None:
    problem = missing(LastSeen(), *positions, options_value_coin=value_coin)
    assert (problem is not None) is is_missing


def test_what_is_missing_is_believed_at_the_second_iteration_and_doubted_anew_after_that() -> None:
    last = LastSeen()
    assert [last.believes(problem) for problem in ("a is gone", "a is gone", None, "a is gone")] == [
        False,
        True,
        True,
        False,
    ]


def test_something_else_that_is_missing_is_not_believed_at_once() -> None:
    last = LastSeen()
    assert [last.believes(problem) for problem in ("a is gone", "b is gone", "b is gone")] == [False, False, True]


def test_positions_of_a_state_are_remembered_with_their_sign_and_expiry() -> None:
    state: AgentState = a_state(positions=(a_short_call(size=0.3), a_short_call("ETH", side="long", size=2.0)))
    last = LastSeen()
    last.remember_state(state)
    assert last.sizes == {symbol_of(): -0.3, ETH_CALL: 2.0}
    assert set(last.expiries.values()) == {EXPIRY}
