"""What the risk engine would refuse holds up no sound action of the other coin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from models import AgentState, Underlying
from policy_rule_based import decide_action
from risk_engine import with_refusals
from tests.builders.configs import a_config
from tests.builders.states import NOW, a_candidate, a_due_call, a_short_call, a_state

DUE_IN_THE_MONEY = {"strike": 90_000.0, "bid_price_coin": 0.11, "ask_price_coin": 0.12}


def judged(*positions: Any, **fields: Any) -> AgentState:
    return with_refusals(a_state(positions=positions, **fields), a_config())


@pytest.mark.parametrize("quote", [{"quoted_at": None}, {"bid_price_coin": 0.13}])  # not in the chain; crossed
def test_a_refused_buy_back_holds_up_no_sale_of_the_other_coin(quote: dict[str, Any]) -> None:
    call = a_due_call("BTC", **(DUE_IN_THE_MONEY | quote))
    state = judged(call, candidates=(a_candidate("ETH"),))
    assert state.refused_closes == (call.symbol,)
    assert decide_action(state, a_config()).underlying == "ETH"


def test_a_buy_back_that_is_allowed_comes_first() -> None:
    call = a_due_call("BTC", **DUE_IN_THE_MONEY)
    state = judged(call, candidates=(a_candidate("ETH"),))
    assert state.refused_closes == ()
    assert decide_action(state, a_config()).symbol == call.symbol


def test_a_refused_buy_back_alone_is_still_proposed_so_that_the_log_says_why() -> None:
    call = a_due_call("BTC", **(DUE_IN_THE_MONEY | {"quoted_at": None}))
    state = judged(call)
    assert state.refused_closes == (call.symbol,)
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
    assert state.refused_sales == (refused.symbol,)
    assert decide_action(state, a_config()).symbol == sound.symbol


def test_a_roll_into_a_call_that_is_refused_holds_up_no_sale_of_the_other_coin() -> None:
    due, into = a_due_call("BTC", **DUE_IN_THE_MONEY), a_candidate("BTC", quoted_at=LONG_AGO)
    state = judged(due, candidates=(into, a_candidate("ETH")))
    assert state.refused_sales == (into.symbol,)
    assert decide_action(state, a_config()).underlying == "ETH"


def test_a_refused_sale_alone_is_still_proposed_so_that_the_log_says_why() -> None:
    refused = a_candidate("BTC", quoted_at=LONG_AGO)
    assert decide_action(judged(candidates=(refused,)), a_config()).symbol == refused.symbol


def test_a_coin_without_room_has_no_sale_to_judge() -> None:
    held = a_short_call("BTC", size=1.0)
    assert judged(held, candidates=(a_candidate("BTC", quoted_at=LONG_AGO),)).refused_sales == ()
