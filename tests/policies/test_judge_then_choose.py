"""A buy-back that the risk engine would refuse holds up no sound action of the other coin."""

from __future__ import annotations

from typing import Any

import pytest

from models import AgentState
from policy_rule_based import decide_action
from risk_engine import with_refused_closes
from tests.builders.configs import a_config
from tests.builders.states import a_candidate, a_due_call, a_state

DUE_IN_THE_MONEY = {"strike": 90_000.0, "bid_price_coin": 0.11, "ask_price_coin": 0.12}


def judged(*positions: Any, **fields: Any) -> AgentState:
    return with_refused_closes(a_state(positions=positions, **fields), a_config())


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
