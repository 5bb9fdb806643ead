"""Calls of which a side of the book is missing: sold nowhere where a bid is required, else offered at the mark.

One call at a time, the builders' usual one: bid 0.0100, ask 0.0110, mark 0.0105, spot 100,000 USD.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from config import AgentConfig
from core.choices.scoring import sale_parts
from core.columns import Floats
from core.quotes import are_offered_at_mark, spreads_in_pct
from models import ActionType, AgentState, CandidateOption, ProposedAction
from policy_rule_based import decide_action
from risk_engine import judge_action
from state_builder import assemble_state
from tests.builders.configs import a_config
from tests.builders.states import a_call, a_coin, a_raw_state

FEE_COIN = 0.0003


def column(*prices: float | None) -> Floats:
    return np.array(prices, dtype=np.float64)


def thin_config(**strategy: Any) -> AgentConfig:
    return a_config(risk={"require_bid": False}, btc=strategy)


def state_of(config: AgentConfig, **quoted: Any) -> AgentState:
    return assemble_state(a_raw_state(a_coin(a_call(**quoted))), config)


def the_candidate(config: AgentConfig, **quoted: Any) -> CandidateOption:
    (call,) = state_of(config, **quoted).candidates
    return call


@pytest.mark.parametrize(
    ("bid", "ask", "is_offered"),
    [
        (None, 0.011, True),
        (0.004, None, True),
        (None, None, True),
        (0.010, 0.011, False),
        (0.0104, None, True),
        (0.0105, None, False),
        (0.0106, None, False),
    ],
)
def test_a_call_is_offered_at_the_mark_where_a_side_is_missing_and_nobody_bids_as_much(
    bid: float | None, ask: float | None, is_offered: bool
) -> None:
    book = (column(bid), column(ask), column(0.0105))
    assert are_offered_at_mark(*book, requires_bid=False).tolist() == [is_offered]
    assert are_offered_at_mark(*book, requires_bid=True).tolist() == [False]


def test_the_spread_is_known_where_both_sides_are() -> None:
    spreads = spreads_in_pct(column(0.01, None, 0.01), column(0.03, 0.03, None))
    assert spreads.tolist() == pytest.approx([100.0, math.nan, math.nan], nan_ok=True)


@pytest.mark.parametrize("quoted", [{"bid_price_coin": None}, {"bid_price_coin": 0.004, "ask_price_coin": None}])
def test_price_floor_and_premium_of_such_a_call_come_from_the_mark(quoted: dict[str, Any]) -> None:
    call = the_candidate(thin_config(), **quoted)
    assert (call.premium_basis, call.sale_price_coin, call.floor_price_coin) == ("asked", 0.0105, 0.0105)
    assert call.premium_usd == pytest.approx((0.0105 - FEE_COIN) * 100_000.0)
    assert call.spread_pct is None


def test_with_both_sides_nothing_is_different() -> None:
    assert the_candidate(thin_config()) == the_candidate(a_config())


def test_the_least_premium_is_judged_at_the_price_asked() -> None:
    net_usd = (0.0105 - FEE_COIN) * 100_000.0
    assert state_of(thin_config(premium_min_usd=net_usd - 0.01), bid_price_coin=None).candidates
    assert not state_of(thin_config(premium_min_usd=net_usd + 0.01), bid_price_coin=None).candidates


def test_an_unknown_spread_passes_the_filter_and_costs_points_as_a_wide_one() -> None:
    call = the_candidate(thin_config(max_spread_pct=1.0), bid_price_coin=None)
    (spread,) = (part for part in sale_parts(call, None, a_config()) if part.name == "spread")
    assert spread.points == pytest.approx(-0.2 * 30.0)


def test_the_funnel_counts_the_calls_that_are_offered_at_the_mark() -> None:
    (funnel,) = state_of(thin_config(), bid_price_coin=None).funnels
    assert (funnel.passed, funnel.offered_at_mark) == (1, 1)
    (funnel,) = state_of(thin_config()).funnels
    assert (funnel.passed, funnel.offered_at_mark) == (1, 0)


def test_where_a_bid_is_required_a_call_without_one_falls_and_one_without_an_ask_counts_at_its_bid() -> None:
    (funnel,) = state_of(a_config(), bid_price_coin=None).funnels
    assert {step.rule: step.rejected for step in funnel.steps}["no_usable_quote"] == 1
    call = the_candidate(a_config(risk={"price_collar_pct": 50.0}), ask_price_coin=None)
    assert call.premium_basis == "bid"
    assert call.premium_usd == pytest.approx((0.0100 - FEE_COIN) * 100_000.0)


@pytest.mark.parametrize("mark", [None, 0.0, 1.0])
def test_without_a_sound_mark_nothing_is_offered(mark: float | None) -> None:
    assert not state_of(thin_config(), bid_price_coin=None, mark_price_coin=mark).candidates


def test_the_reason_says_that_nobody_bids() -> None:
    action = decide_action(state_of(thin_config(), bid_price_coin=None), thin_config())
    assert action.type == ActionType.OPEN_COVERED_CALL
    assert action.reason.endswith("; nobody bids, so it is offered at the mark")


def test_what_the_filter_lets_pass_the_risk_engine_allows() -> None:
    state = state_of(thin_config(), bid_price_coin=None)
    (call,) = state.candidates
    sale = ProposedAction(
        type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol=call.symbol, size=0.1, reason="a test says so"
    )
    assert judge_action(state, sale, thin_config()).allowed


@pytest.mark.parametrize(
    ("market", "setting", "requires"),
    [
        ("testnet", None, False),
        ("loopback", None, False),
        ("recorded", None, True),
        ("simulated", None, True),
        ("testnet", True, True),
        ("recorded", False, False),
    ],
)
def test_a_bid_is_required_as_the_setting_says_and_else_as_the_market_has_it(
    market: str, setting: bool | None, requires: bool
) -> None:
    assert a_config(risk={"require_bid": setting}).at_market(market).requires_bid == requires


def test_settings_that_know_no_market_require_a_bid() -> None:
    assert a_config().requires_bid
