"""What the risk engine would refuse holds up no sound action of the other coin."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from core.choices.action_set import possible_choices
from models import AgentState, Underlying
from policy_rule_based import decide_action
from risk_engine import check_action_allowed
from state_builder import with_choices
from tests.builders.configs import a_config
from tests.builders.states import (
    LATER_EXPIRY,
    NEXT_EXPIRY,
    NOW,
    a_candidate,
    a_due_call,
    a_short_call,
    a_state,
    an_opening,
)


def labels_of(state: AgentState) -> set[str]:
    return {choice.label for choice in state.choices}


DUE_IN_THE_MONEY = {"strike": 90_000.0, "bid_price_coin": 0.11, "ask_price_coin": 0.12}


def judged(*positions: Any, **fields: Any) -> AgentState:
    return with_choices(a_state(positions=positions, **fields), a_config())


@pytest.mark.parametrize("quote", [{"quoted_at": None}, {"bid_price_coin": 0.13}])  # not in the chain; crossed
def test_a_refused_buy_back_holds_up_no_sale_of_the_other_coin(quote: dict[str, Any]) -> None:
    call = a_due_call("BTC", **(DUE_IN_THE_MONEY | quote))
    state = judged(call, candidates=(a_candidate("ETH"),))
    assert f"close {call.symbol}" not in labels_of(state)
    assert decide_action(state, a_config()).underlying == "ETH"


def test_a_buy_back_that_is_allowed_comes_first() -> None:
    call = a_due_call("BTC", **DUE_IN_THE_MONEY)
    state = judged(call, candidates=(a_candidate("ETH"),))
    assert f"close {call.symbol}" in labels_of(state)
    assert decide_action(state, a_config()).symbol == call.symbol


def test_a_refused_buy_back_alone_is_still_proposed_so_that_the_log_says_why() -> None:
    call = a_due_call("BTC", **(DUE_IN_THE_MONEY | {"quoted_at": None}))
    state = judged(call)
    assert labels_of(state) == {"nothing", f"open {state.candidates[0].symbol}"}
    assert decide_action(state, a_config()).symbol == call.symbol


LONG_AGO = NOW - timedelta(minutes=10)
# An old quote; a crossed book; beyond the collar; a size the exchange does not take.
BLOCKED = [
    {"quoted_at": LONG_AGO},
    {"ask_price_coin": 0.005},
    {"floor_price_coin": 0.001},
    {"min_trade_amount_coin": 0.7},
]


@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize(("first", "other"), [("BTC", "ETH"), ("ETH", "BTC")])  # it is the turn of one of them
def test_a_refused_sale_holds_up_no_sale_of_the_other_coin(
    blocked: dict[str, Any], first: Underlying, other: Underlying
) -> None:
    refused, sound = a_candidate(first, **blocked), a_candidate(other)
    state = judged(candidates=(refused, sound))
    assert labels_of(state) == {"nothing", f"open {sound.symbol}"}
    assert decide_action(state, a_config()).symbol == sound.symbol


def test_a_roll_into_a_call_that_is_refused_holds_up_no_sale_of_the_other_coin() -> None:
    due, into = a_due_call("BTC", **DUE_IN_THE_MONEY), a_candidate("BTC", quoted_at=LONG_AGO)
    state = judged(due, candidates=(into, a_candidate("ETH")))
    assert not any(into.symbol in label for label in labels_of(state))
    assert decide_action(state, a_config()).underlying == "ETH"


def test_a_refused_sale_alone_is_still_proposed_so_that_the_log_says_why() -> None:
    refused = a_candidate("BTC", quoted_at=LONG_AGO)
    assert decide_action(judged(candidates=(refused,)), a_config()).symbol == refused.symbol


def test_a_coin_without_room_has_no_sale_but_its_call_can_be_bought_back_and_rolled() -> None:
    held, call = a_short_call("BTC", size=1.0), a_candidate("BTC", expiry=LATER_EXPIRY)
    state = judged(held, candidates=(call,))
    labels = {"nothing", f"close {held.symbol}", f"roll {held.symbol} > {call.symbol}"}
    assert labels_of(state) == labels


def test_every_choice_is_allowed_and_everything_else_that_could_be_done_is_not() -> None:
    held, calls = a_short_call("BTC"), (a_candidate("BTC"), a_candidate("BTC", expiry=NEXT_EXPIRY), a_candidate("ETH"))
    state = judged(held, candidates=calls)
    assert len(state.choices) == 5  # neither into itself nor into an earlier expiry
    for choice in possible_choices(state, a_config()):
        allowed, reasons = check_action_allowed(state, choice.proposed("a test"), a_config())
        assert allowed is (choice in state.choices), (choice.label, reasons)


def test_a_score_is_the_sum_of_its_parts_and_a_roll_is_a_buy_back_and_a_sale() -> None:
    held, call = a_short_call("BTC"), a_candidate("BTC", expiry=LATER_EXPIRY)
    state = judged(held, candidates=(call,))
    score = {choice.label: choice.score for choice in state.choices}
    sale, close = score[f"open {call.symbol}"], score[f"close {held.symbol}"]
    assert sale == state.candidates[0].score == math.fsum(part.points for part in state.candidates[0].score_parts)
    assert score["nothing"] == 0.0 > close
    assert score[f"roll {held.symbol} > {call.symbol}"] == pytest.approx(sale + close)


def test_nobody_is_refused_anything_before_the_risk_engine_was_asked() -> None:
    assert not a_state(positions=(), candidates=(a_candidate(quoted_at=LONG_AGO),)).refuses(an_opening())
