"""The vocabulary: nothing changes, nothing infinite or unknown gets in, and what the derived figures mean."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

import models
from models import AgentError, AgentState, OptionInstrument, OrderRequest, ProposedAction
from tests.builders.states import (
    NOW,
    a_candidate,
    a_portfolio,
    a_short_call,
    a_state,
    an_account,
    an_instrument,
    an_opening,
    an_order,
    symbol_of,
)


def all_errors() -> set[type[AgentError]]:
    return {kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, AgentError)}


# --- what gets in -----------------------------------------------------------------------------


def test_nothing_can_be_changed_after_it_was_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        a_candidate().delta = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers_get_in(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        a_candidate(delta=number)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="premium_eur"):
        a_candidate(premium_eur=1.0)


def test_text_is_never_taken_for_a_number() -> None:
    with pytest.raises(ValidationError, match="delta"):
        a_candidate(delta="0.2")


def test_times_need_a_time_zone() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        a_candidate(quoted_at=datetime(2026, 1, 5))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("field", ["strike", "contract_size_coin", "min_trade_amount_coin", "tick_size_coin"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_what_must_be_above_zero_is(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        OptionInstrument(**{**an_instrument().model_dump(), field: value})


def test_only_btc_and_eth_are_known() -> None:
    with pytest.raises(ValidationError, match="BTC"):
        OptionInstrument(**{**an_instrument().model_dump(), "underlying": "SOL"})


@pytest.mark.parametrize("reason", ["", "x" * 1001])
def test_every_action_says_why_and_not_at_any_length(reason: str) -> None:
    with pytest.raises(ValidationError, match="reason"):
        an_opening(reason=reason)
    assert an_opening(reason="x" * 1000).reason


def test_an_action_is_never_of_a_negative_size() -> None:
    with pytest.raises(ValidationError, match="size"):
        an_opening(size=-0.1)


@pytest.mark.parametrize("change", [{"label": "x" * 65}, {"amount_coin": 0.0}, {"price_coin": 0.0}])
def test_an_order_request_fits_the_exchange(change: dict[str, Any]) -> None:
    sale = {"label": "x" * 64, "symbol": symbol_of(), "direction": "sell", "amount_coin": 0.1, "price_coin": 0.01}
    good = {**sale, "quoted_at": NOW}
    assert OrderRequest(**good).reduce_only is False  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        OrderRequest(**{**good, **change})


# --- derived figures -----------------------------------------------------------------------------


def test_foreign_funds_of_a_cross_margin_account_are_not_coins_held() -> None:
    account = an_account("ETH", coins=0.0, available_funds_coin=583.0, margin_balance_coin=678.0)
    assert account.coins_held == 0.0


@pytest.mark.parametrize(("balance", "equity", "held"), [(1.0, 0.9, 0.9), (0.9, 1.0, 0.9), (-0.1, 0.5, 0.0)])
def test_coins_held_are_the_balance_less_what_futures_lost_and_never_negative(
    balance: float, equity: float, held: float
) -> None:
    assert an_account(balance_coin=balance, equity_coin=equity).coins_held == held


@pytest.mark.parametrize("mark", [0.0037, 0.007, 0.1, 0.6])
def test_the_mark_of_a_call_sold_takes_no_cover_away(mark: float) -> None:
    account = an_account(balance_coin=1.0034, equity_coin=1.0034 - mark, options_value_coin=-mark)
    assert account.coins_held == pytest.approx(1.0034, abs=1e-12)


@pytest.mark.parametrize(("ask", "mark", "captured"), [(0.002, 0.001, 80.0), (None, 0.001, 90.0), (0.02, 0.02, -100.0)])
def test_captured_premium_is_counted_at_the_ask_else_at_the_mark(
    ask: float | None, mark: float, captured: float
) -> None:
    call = a_short_call(avg_price=0.01, ask_price_coin=ask, mark_price_coin=mark)
    assert call.captured_premium_pct == pytest.approx(captured)


def test_a_call_sold_for_nothing_has_captured_nothing() -> None:
    assert a_short_call(avg_price=0.0).captured_premium_pct == 0.0


def test_only_a_sold_call_is_a_short_call() -> None:
    assert a_short_call().is_short_call
    assert not a_short_call(side="long").is_short_call
    assert not a_short_call(option_type="put").is_short_call


@pytest.mark.parametrize(
    ("state", "live"),
    [
        ("open", True),
        ("untriggered", True),
        ("speed_bumped", True),
        ("a state of next year", True),
        ("filled", False),
        ("cancelled", False),
        ("rejected", False),
    ],
)
def test_an_order_is_live_until_it_is_seen_final(state: str, live: bool) -> None:
    assert an_order(order_state=state).is_live is live


def test_an_order_is_ours_by_its_label_alone() -> None:
    assert an_order(label="cc-260105120000-abcdef-buy").is_own
    assert an_order(label="cc-1-sell", is_in_order_log=True).is_own
    for foreign in ("cc-january", "cc-1-sell", "cc-260105120000-abcdef", "cc-260105120000-ABCDEF-buy"):
        assert not an_order(label=foreign).is_own
    assert not an_order(label="").is_own
    assert not an_order(label="my cc-1").is_own


def test_the_rest_of_an_order_is_what_has_not_filled() -> None:
    assert an_order(amount_coin=0.3, filled_amount_coin=0.1).unfilled_amount_coin == pytest.approx(0.2)
    assert an_order(amount_coin=0.3, filled_amount_coin=0.4).unfilled_amount_coin == 0.0


def test_room_is_what_stands_behind_no_call_and_no_offer() -> None:
    risk = a_state(positions=(a_short_call(size=0.3),), open_orders=(an_order(amount_coin=0.2),)).risk("BTC")
    assert risk is not None
    assert risk.room_coin == pytest.approx(0.5)


# --- looking things up in a state ------------------------------------------------------------------


def test_a_state_finds_each_coin_its_own() -> None:
    btc, eth = a_short_call("BTC"), a_short_call("ETH")
    state = a_state(positions=(btc, eth), candidates=(a_candidate("BTC"), a_candidate("ETH")))
    assert state.short_calls("ETH") == (eth,)
    assert state.position(btc.symbol) == btc
    assert [call.underlying for call in state.candidates_for("ETH")] == ["ETH"]
    assert state.candidate(None) is state.candidate("BTC-1JAN30-1-C") is None


def test_what_is_not_there_is_none() -> None:
    empty = a_state(markets=(), risks=(), portfolio=a_portfolio(accounts=()))
    assert [find("BTC") for find in (empty.market, empty.account, empty.risk)] == [None, None, None]


def test_a_state_survives_the_journey_through_json() -> None:
    state = a_state(
        positions=(a_short_call(),), open_orders=(an_order(),), candidates=(a_candidate(), a_candidate("ETH"))
    )
    assert AgentState.model_validate_json(state.model_dump_json()) == state


def test_an_action_survives_the_journey_through_json() -> None:
    action = an_opening()
    assert ProposedAction.model_validate_json(action.model_dump_json()) == action


# --- errors ------------------------------------------------------------------------------------------


def test_every_error_says_in_its_docstring_what_happens_next() -> None:
    assert all(kind.__doc__ and len(kind.__doc__) > 20 for kind in all_errors())


def test_exit_codes_of_fatal_errors_are_those_of_the_manual() -> None:
    codes = {kind.__name__: kind.exit_code for kind in all_errors() if kind.exit_code is not None}
    assert codes == {
        "ConfigurationError": 2,
        "AlreadyRunningError": 3,
        "AuthenticationError": 4,
        "WrongEnvironmentError": 5,
        "HaltedError": 6,
    }
