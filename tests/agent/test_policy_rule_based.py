"""The rule-based policy: when it sells, holds, rolls and buys back, and what it prefers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from models import ActionType, AgentState, ProposedAction, Underlying
from policy_rule_based import decide_action, iv_is_high
from risk_engine import check_action_allowed
from state_builder import MarketMemory, build_agent_state
from tests.builders.configs import a_config
from tests.builders.states import (
    LATER_EXPIRY,
    NEXT_EXPIRY,
    a_candidate,
    a_due_call,
    a_market,
    a_short_call,
    a_simulated_client,
    a_state,
    an_account,
)

NOTHING, OPEN, ROLL, CLOSE = (
    ActionType.DO_NOTHING,
    ActionType.OPEN_COVERED_CALL,
    ActionType.ROLL_COVERED_CALL,
    ActionType.CLOSE_COVERED_CALL,
)
IN_THE_MONEY_USD = 95_000.0
THREE_CALLS = tuple(
    a_candidate(strike=strike, yield_if_flat_annual_pct=yearly)
    for strike, yearly in ((110_000.0, 20.0), (112_000.0, 30.0), (114_000.0, 10.0))
)


def decide(state: AgentState, **sections: Mapping[str, Any]) -> ProposedAction:
    return decide_action(state, a_config(**sections))


def kind_of(state: AgentState, **sections: Mapping[str, Any]) -> ActionType:
    return decide(state, **sections).type


# --- selling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("coin", "size"), [("BTC", 0.3), ("ETH", 2.0)])
def test_without_a_call_the_best_candidate_is_sold_in_the_configured_size(coin: Underlying, size: float) -> None:
    call = a_candidate(coin)
    action = decide(a_state(candidates=(call,)), btc={"order_size": 0.3}, eth={"order_size": 2.0})
    assert (action.type, action.underlying, action.symbol, action.size) == (OPEN, coin, call.symbol, size)


def test_without_a_call_and_without_a_candidate_nothing_happens() -> None:
    action = decide(a_state(candidates=()))
    assert action.type == NOTHING
    assert action.reason.split("; ") == [
        "BTC: no call is held and no candidate passed the filters",
        "ETH: no call is held and no candidate passed the filters",
    ]


def a_state_with_coins(coins: float) -> AgentState:
    """Half a coin's worth of calls is sold."""
    return a_state(positions=(a_short_call(size=0.5),), accounts=(an_account("BTC", coins=coins), an_account("ETH")))


@pytest.mark.parametrize(("coins", "kind"), [(1.0, NOTHING), (0.5, NOTHING), (0.4, CLOSE), (0.0, CLOSE)])
def test_a_call_whose_coins_have_left_the_account_is_bought_back(coins: float, kind: ActionType) -> None:
    assert kind_of(a_state_with_coins(coins)) == kind


def test_buying_back_what_is_uncovered_says_so_and_is_allowed() -> None:
    state = a_state_with_coins(0.4)
    action = decide(state)
    assert (action.size, action.reason.rpartition(": ")[2]) == (0.5, "more calls are sold than coins are held")
    assert check_action_allowed(state, action, a_config()) == (True, [])


def test_a_coin_that_holds_a_call_sells_no_second_one() -> None:
    assert kind_of(a_state(positions=(a_short_call(),))) == NOTHING


@pytest.mark.parametrize("other", [a_short_call(side="long"), a_short_call(option_type="put"), a_short_call("ETH")])
def test_only_a_sold_call_of_the_same_coin_keeps_it_from_selling(other: Any) -> None:
    assert kind_of(a_state(positions=(other,))) == OPEN


# --- the score ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "better",
    [{"yield_if_flat_annual_pct": 40.0}, {"delta": 0.15}, {"spread_pct": 1.0}],
)
def test_more_yield_less_delta_and_a_tighter_spread_are_sold_first(better: dict[str, Any]) -> None:
    plain, improved = a_candidate(), a_candidate(strike=120_000.0, **better)
    assert decide(a_state(candidates=(plain, improved))).symbol == improved.symbol


def test_the_weights_of_the_settings_decide_what_is_sold() -> None:
    near, far = a_candidate(delta=0.3, yield_if_flat_annual_pct=45.0), a_candidate(strike=120_000.0, delta=0.1)
    state = a_state(candidates=(near, far))
    assert decide(state).symbol == near.symbol
    assert decide(state, score={"delta_points": -400.0}).symbol == far.symbol


# --- holding and rolling -----------------------------------------------------------------------------


def due_state(spot_usd: float = 100_000.0, iv_rv: float | None = 1.0, **fields: Any) -> AgentState:
    """A call at 95,000 with 20 hours left, or what the fields say, and one call to roll to."""
    held = fields.pop("held", a_due_call(strike=IN_THE_MONEY_USD))
    market = a_market(spot_usd=spot_usd, iv_rv_ratio=iv_rv)
    defaults: dict[str, Any] = {"candidates": (a_candidate(expiry=LATER_EXPIRY),)}
    return a_state(positions=(held,), markets=(market, a_market("ETH")), **{**defaults, **fields})


def test_a_due_call_in_the_money_is_rolled_to_the_best_candidate() -> None:
    state = due_state()
    action = decide(state)
    assert (action.type, action.symbol) == (ROLL, state.portfolio.positions[0].symbol)
    assert (action.new_symbol, action.size) == (state.candidates[0].symbol, 0.1)
    assert "in the money" in action.reason


@pytest.mark.parametrize(("spot", "kind"), [(95_000.01, ROLL), (95_000.0, NOTHING), (94_999.0, NOTHING)])
def test_in_the_money_means_above_the_strike(spot: float, kind: ActionType) -> None:
    assert kind_of(due_state(spot_usd=spot)) == kind


@pytest.mark.parametrize(("iv_rv", "kind"), [(1.3, ROLL), (1.2, ROLL), (1.1999, NOTHING), (None, NOTHING)])
def test_a_due_call_out_of_the_money_is_rolled_while_iv_is_high_and_unknown_is_not_high(
    iv_rv: float | None, kind: ActionType
) -> None:
    action = decide(due_state(spot_usd=90_000.0, iv_rv=iv_rv), btc={"roll_ivrv_min": 1.2})
    assert action.type == kind
    assert ("IV is still high" in action.reason) is (kind == ROLL)


@pytest.mark.parametrize(("days", "kind"), [(0.9999, ROLL), (1.0, NOTHING), (2.0, NOTHING)])
def test_a_call_is_due_with_less_than_a_day_left(days: float, kind: ActionType) -> None:
    held = a_due_call(strike=IN_THE_MONEY_USD, dte_days=days)
    assert kind_of(due_state(held=held), btc={"roll_dte_days": 1.0}) == kind


def test_the_call_that_expires_first_is_looked_at_first() -> None:
    soon, later = a_due_call(strike=IN_THE_MONEY_USD), a_short_call(strike=IN_THE_MONEY_USD)
    state = a_state(positions=(later, soon), candidates=(a_candidate(expiry=LATER_EXPIRY),))
    assert decide(state).symbol == soon.symbol


def test_a_due_call_is_never_rolled_to_itself_or_to_an_earlier_expiry() -> None:
    held = a_due_call(strike=IN_THE_MONEY_USD)
    itself = a_candidate(expiry=held.expiry, strike=held.strike)
    earlier = a_candidate(expiry=NEXT_EXPIRY - timedelta(hours=1), dte_days=0.7)
    assert kind_of(due_state(candidates=(itself,))) == CLOSE
    assert kind_of(due_state(candidates=(earlier,))) == CLOSE


def test_a_roll_within_the_same_expiry_is_a_roll() -> None:
    assert kind_of(due_state(candidates=(a_candidate(expiry=NEXT_EXPIRY, strike=105_000.0),))) == ROLL


# --- buying back ------------------------------------------------------------------------------------


def test_a_due_call_in_the_money_with_nothing_to_roll_to_is_bought_back() -> None:
    action = decide(due_state(candidates=()))
    assert (action.type, action.size) == (CLOSE, 0.1)
    assert "nothing to roll to" in action.reason


def test_a_due_call_out_of_the_money_with_nothing_to_roll_to_is_left_to_expire() -> None:
    action = decide(due_state(spot_usd=90_000.0, iv_rv=2.0, candidates=()))
    assert action.type == NOTHING
    assert "nothing to roll to" in action.reason


@pytest.mark.parametrize(
    ("take_profit", "ask", "kind"),
    [
        (80.0, 0.0010, CLOSE),
        (80.0, 0.0020, CLOSE),
        (80.0, 0.0021, NOTHING),
        (0.0, 0.0001, NOTHING),
    ],
)
def test_profit_is_taken_from_the_configured_share_on_and_zero_is_off(
    take_profit: float, ask: float, kind: ActionType
) -> None:
    held = a_short_call(avg_price=0.0100, ask_price_coin=ask)  # at 0.0020 exactly 80 % is earned
    assert kind_of(a_state(positions=(held,)), btc={"take_profit_pct": take_profit}) == kind


def test_taking_profit_is_off_unless_configured() -> None:
    assert kind_of(a_state(positions=(a_short_call(avg_price=0.01, ask_price_coin=0.0001),))) == NOTHING


# --- both coins -------------------------------------------------------------------------------------


def test_eth_follows_the_same_rules() -> None:
    held = a_due_call("ETH", strike=3_900.0)
    state = a_state(positions=(held,), candidates=(a_candidate("ETH", expiry=LATER_EXPIRY),))
    assert decide(state, btc={"enabled": False}).type == ROLL
    assert decide(a_state(candidates=(a_candidate("ETH"),))).underlying == "ETH"


def test_what_protects_comes_before_what_earns() -> None:
    roll_eth = a_due_call("ETH", strike=3_900.0)
    target = a_candidate("ETH", expiry=LATER_EXPIRY)
    assert decide(a_state(positions=(roll_eth,), candidates=(a_candidate("BTC"), target))).type == ROLL
    assert decide(a_state(positions=(roll_eth,), candidates=(a_candidate("BTC"),))).type == CLOSE


def test_a_buy_back_comes_before_a_roll() -> None:
    to_roll, to_close = a_due_call("BTC", strike=IN_THE_MONEY_USD), a_due_call("ETH", strike=3_900.0)
    state = a_state(positions=(to_roll, to_close), candidates=(a_candidate("BTC", expiry=LATER_EXPIRY),))
    action = decide(state)
    assert (action.type, action.underlying) == (CLOSE, "ETH")


def test_btc_comes_before_eth_when_both_want_the_same() -> None:
    state = a_state(candidates=(a_candidate("ETH"), a_candidate("BTC")))
    assert decide(state).underlying == "BTC"
    assert decide(state, btc={"enabled": False}).underlying == "ETH"


def test_without_an_enabled_coin_it_says_so() -> None:
    action = decide(a_state(), btc={"enabled": False}, eth={"enabled": False})
    assert (action.type, action.reason) == (NOTHING, "no coin is enabled")


def test_a_market_that_is_not_known_is_neither_in_the_money_nor_high() -> None:
    state = due_state().model_copy(update={"markets": ()})
    assert kind_of(state) == NOTHING
    assert iv_is_high(state, "BTC", a_config().btc) is False


# --- what always holds ----------------------------------------------------------------------------------


def simulated_states(count: int, seed: int) -> list[AgentState]:
    """States of a simulated account that never trades."""
    client, memory, config = a_simulated_client(seed), MarketMemory(), a_config()
    states = []
    for _ in range(count):
        states.append(build_agent_state(client, config, memory))
        client.clock.wait_for_next(6 * 3600.0)
    return states


def test_a_state_read_back_from_the_log_gives_the_same_action() -> None:
    for state in simulated_states(8, seed=3):
        read_back = AgentState.model_validate_json(state.model_dump_json())
        assert decide(read_back) == decide(state)


def test_what_it_proposes_on_a_simulated_market_the_risk_engine_allows() -> None:
    for state in simulated_states(8, seed=4):
        action = decide_action(state, a_config())
        assert check_action_allowed(state, action, a_config()) == (True, [])


# --- the coins take turns ------------------------------------------------------------------------------


def test_a_coin_without_free_coins_does_not_hold_up_the_other() -> None:
    accounts = (an_account("BTC", coins=0.05), an_account("ETH"))
    state = a_state(accounts=accounts, candidates=(a_candidate("BTC"), a_candidate("ETH")))
    actions = [decide_action(at(state, minutes), a_config()) for minutes in (0, 5)]
    assert {(action.type, action.underlying) for action in actions} == {(ActionType.OPEN_COVERED_CALL, "ETH")}


def test_when_both_coins_could_be_sold_they_come_first_in_turn() -> None:
    state = a_state(candidates=(a_candidate("BTC"), a_candidate("ETH")))
    actions = [decide_action(at(state, minutes), a_config()) for minutes in (0, 5, 10, 15)]
    assert [action.underlying for action in actions] in (["BTC", "ETH"] * 2, ["ETH", "BTC"] * 2)


def at(state: AgentState, minutes: float) -> AgentState:
    return state.model_copy(update={"timestamp": state.timestamp + timedelta(minutes=minutes)})
