"""The hard limits: each rule with a case that blocks, one that passes and one exactly at the limit.

Most tests sell 0.1 BTC of the builders' call from an account with 1 BTC. `rules_hit` gives the names of the rules that
spoke up, so that an empty list is an allowed action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

import risk_engine
from core.choices.trades import ProposedTrade, estimated_margin_pct
from core.exposure import margin_used_pct
from deribit_client import DeribitClient
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    CoinAccount,
    OptionPosition,
    OrderRequest,
    ProposedAction,
    Reason,
    SendOutcome,
    TradingState,
)
from risk_engine import (
    RULES,
    are_allowed,
    check_action_allowed,
)
from state_builder import build_agent_state
from tests.builders.configs import a_config
from tests.builders.states import (
    EXPIRY,
    LATER_EXPIRY,
    NOW,
    a_candidate,
    a_closing,
    a_due_call,
    a_market,
    a_portfolio,
    a_raw_position,
    a_roll,
    a_short_call,
    a_simulated_client,
    a_state,
    an_account,
    an_opening,
    an_order,
    symbol_of,
)

LATER_CALL = a_candidate(expiry=LATER_EXPIRY, strike=112_000.0)
OTHER_STRIKE = 120_000.0
TINY = 1e-9


def reasons(action: ProposedAction, state: AgentState | None = None, **sections: Mapping[str, Any]) -> list[str]:
    allowed, found = check_action_allowed(state or a_state(), action, a_config(**sections))
    assert allowed is (not found)
    return found


def rules_hit(action: ProposedAction, state: AgentState | None = None, **sections: Mapping[str, Any]) -> list[str]:
    return [reason.partition(":")[0] for reason in reasons(action, state, **sections)]


def a_trade(state: AgentState, action: ProposedAction) -> ProposedTrade:
    """What estimated_margin_pct looks at, for a BTC action."""
    market, account, risk = state.market("BTC"), state.account("BTC"), state.risk("BTC")
    assert market is not None
    assert account is not None
    assert risk is not None
    is_roll = action.type == ActionType.ROLL_COVERED_CALL
    sold = state.candidate(action.new_symbol if is_roll else action.symbol)
    held = state.position(action.symbol)
    return ProposedTrade(state, a_config(), "BTC", market, account, risk, sold, held, action.size)


# --- what is no action at all -------------------------------------------------------------------


def test_doing_nothing_is_always_allowed() -> None:
    state = a_state(kill_switch_on=True, portfolio=a_portfolio(accounts=()), risks=(), markets=())
    assert reasons(ProposedAction(type=ActionType.DO_NOTHING, reason="a test"), state) == []


def test_an_ordinary_sale_an_ordinary_roll_and_an_ordinary_buy_back_are_allowed() -> None:
    held = a_due_call()
    state = a_state(positions=(held,), candidates=(LATER_CALL,))
    assert reasons(an_opening()) == []
    assert reasons(a_roll(held, LATER_CALL), state) == []
    assert reasons(a_closing(held), state) == []


def test_an_action_without_a_coin_is_refused() -> None:
    assert rules_hit(an_opening(underlying=None)) == ["missing_underlying"]


@pytest.mark.parametrize(("enabled", "hit"), [(False, ["disabled"]), (True, [])])
def test_a_coin_that_is_switched_off_is_not_traded(enabled: bool, hit: list[str]) -> None:
    assert rules_hit(an_opening(), btc={"enabled": enabled}) == hit
    assert rules_hit(an_opening(a_candidate("BTC")), eth={"enabled": enabled}) == []


@pytest.mark.parametrize(
    ("kind", "symbols"),
    [
        (ActionType.OPEN_COVERED_CALL, (None, None)),
        (ActionType.OPEN_COVERED_CALL, (symbol_of(), LATER_CALL.symbol)),
        (ActionType.ROLL_COVERED_CALL, (symbol_of(), None)),
        (ActionType.ROLL_COVERED_CALL, (None, LATER_CALL.symbol)),
        (ActionType.CLOSE_COVERED_CALL, (None, None)),
        (ActionType.CLOSE_COVERED_CALL, (symbol_of(), LATER_CALL.symbol)),
    ],
)
def test_each_kind_of_action_needs_exactly_its_symbols(
    kind: ActionType, symbols: tuple[str | None, str | None]
) -> None:
    action = an_opening(type=kind, symbol=symbols[0], new_symbol=symbols[1])
    assert rules_hit(action, a_state(positions=(a_short_call(),))) == ["missing_symbol"]


def test_a_size_of_zero_is_refused() -> None:
    assert rules_hit(an_opening(size=0.0)) == ["bad_size"]


@pytest.mark.parametrize("symbol", ["BTC-31FEB27-1-C", "btc-16jan26-110000-c", "BTC-16FEB26-110000-C", ""])
def test_only_calls_of_this_iterations_state_can_be_sold(symbol: str) -> None:
    assert rules_hit(an_opening(symbol=symbol)) == ["symbol_not_in_state"]
    held = a_due_call()
    roll = a_roll(held, LATER_CALL).model_copy(update={"new_symbol": symbol})
    assert rules_hit(roll, a_state(positions=(held,))) == ["symbol_not_in_state"]


@pytest.mark.parametrize(
    "symbol",
    [
        "BTC-16JAN26-110000-P",
        "ETH-16JAN26-4400-C",
        "BTC-PERPETUAL",
        "BTC-16JAN26",
        "BTC-5JAN26-110000-C",
        "BTC-1JAN20-1-C",
        "BTC_USDC-16JAN26-110000-C",
    ],
)
def test_what_by_its_name_is_no_call_on_the_coin_or_has_expired_is_refused_as_such(symbol: str) -> None:
    assert rules_hit(an_opening(symbol=symbol)) == ["not_an_allowed_call"]


def test_a_roll_of_more_than_is_held_is_a_bad_roll() -> None:
    held = a_due_call(size=0.1)
    state = a_state(positions=(held,), candidates=(LATER_CALL,))
    assert rules_hit(a_roll(held, LATER_CALL, 0.1), state) == []
    assert rules_hit(a_roll(held, LATER_CALL, 0.2), state) == ["bad_roll"]


def test_a_call_of_the_other_coin_is_no_call_of_this_one() -> None:
    eth = a_candidate("ETH")
    action = an_opening(eth, size=0.1, underlying="BTC")
    assert rules_hit(action, a_state(candidates=(eth,))) == ["not_an_allowed_call"]


@pytest.mark.parametrize(
    "held",
    [
        (),
        (a_short_call(side="long"),),
        (a_short_call(option_type="put"),),
        (a_short_call("ETH", symbol=symbol_of()),),
        (a_short_call(strike=OTHER_STRIKE),),
    ],
)
def test_only_a_sold_call_of_that_coin_and_symbol_can_be_bought_back(held: tuple[OptionPosition, ...]) -> None:
    state = a_state(positions=held, candidates=(LATER_CALL,))
    assert rules_hit(a_closing(a_short_call()), state) == ["nothing_to_close"]
    assert rules_hit(a_roll(a_short_call(), LATER_CALL), state) == ["nothing_to_close"]


@pytest.mark.parametrize(("size", "hit"), [(0.2, []), (0.3, []), (0.1 + 0.2, []), (0.4, ["nothing_to_close"])])
def test_no_more_is_bought_back_than_was_sold(size: float, hit: list[str]) -> None:
    held = a_short_call(size=0.3)
    assert rules_hit(a_closing(held, size), a_state(positions=(held,))) == hit


@pytest.mark.parametrize("missing", [{"markets": ()}, {"risks": ()}, {"portfolio": a_portfolio(accounts=())}])
def test_without_market_account_or_risk_of_the_coin_nothing_is_traded(missing: dict[str, Any]) -> None:
    assert rules_hit(an_opening(), a_state(**missing)) == ["unknown_account"]


def test_all_that_is_wrong_with_an_action_is_said_at_once() -> None:
    action = an_opening(symbol="BTC-1JAN30-1-C", size=0.0)
    assert rules_hit(action, btc={"enabled": False}) == ["disabled", "bad_size", "symbol_not_in_state"]


# --- kill switch ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("is_on", "hit"), [(True, ["kill_switch"]), (False, [])])
def test_the_kill_file_stops_every_trade(is_on: bool, hit: list[str]) -> None:
    held = a_due_call()
    state = a_state(kill_switch_on=is_on, positions=(held,), candidates=(LATER_CALL,))
    for action in (an_opening(LATER_CALL), a_roll(held, LATER_CALL), a_closing(held)):
        assert rules_hit(action, state) == hit


def test_what_stands_in_the_kill_file_is_shown() -> None:
    state = a_state(kill_switch_on=True, kill_note="expiry day\nback at nine")
    (reason,) = reasons(an_opening(), state)
    assert reason.startswith("kill_switch: the kill file exists ('expiry day\\nback at nine')")


# --- trading state ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trading_state", "sale", "buy_back"),
    [
        (TradingState.ACTIVE, [], []),
        (TradingState.REDUCING, ["reducing"], []),
        (TradingState.HALTED, ["halted"], ["halted"]),
    ],
)
def test_reducing_sells_nothing_and_halted_sends_nothing_at_all(
    trading_state: TradingState, sale: list[str], buy_back: list[str]
) -> None:
    held = a_due_call()
    state = a_state(trading_state=trading_state, positions=(held,), candidates=(LATER_CALL,))
    assert rules_hit(an_opening(LATER_CALL), state) == sale
    assert rules_hit(a_roll(held, LATER_CALL), state) == sale
    assert rules_hit(a_closing(held), state) == buy_back


def test_the_reason_says_everything_that_keeps_the_agent_from_selling() -> None:
    why = (Reason(rule="breaker", text="5 failed iterations in a row"), Reason(rule="key", text="it may not trade"))
    (reason,) = reasons(an_opening(), a_state(trading_state=TradingState.REDUCING, restrictions=why))
    assert reason == f"reducing: {why[0]}; {why[1]}"
    (halted,) = reasons(an_opening(), a_state(trading_state=TradingState.HALTED, restrictions=why))
    assert "--resume" in halted


# --- orders a day ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent_today", "opening", "roll"),
    [(17, [], []), (18, [], []), (19, [], ["orders_per_day"]), (20, ["orders_per_day"], ["orders_per_day"])],
)
def test_no_more_orders_a_day_than_allowed_each_leg_counting_and_buying_back_never_stopped(
    sent_today: int, opening: list[str], roll: list[str]
) -> None:
    held = a_due_call()
    state = a_state(orders_today=sent_today, positions=(held,), candidates=(LATER_CALL,))
    limit = {"max_orders_per_day": 20}
    assert rules_hit(an_opening(LATER_CALL), state, risk=limit) == opening
    assert rules_hit(a_roll(held, LATER_CALL), state, risk=limit) == roll
    assert rules_hit(a_closing(held), state, risk=limit) == []


@pytest.mark.parametrize(("unfilled", "hit"), [(288, []), (299, []), (300, ["unfilled_orders_per_day"])])
def test_orders_that_came_to_nothing_have_a_limit_of_their_own(unfilled: int, hit: list[str]) -> None:
    state = a_state(unfilled_orders_today=unfilled)
    limits = {"max_orders_per_day": 1, "max_unfilled_orders_per_day": 300}
    assert rules_hit(an_opening(), state, risk=limits) == hit


# --- settlement ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "hit"),
    [
        ("07:54:59", []),
        ("07:55:00", ["settlement_window"]),
        ("08:00:00", ["settlement_window"]),
        ("08:04:59", ["settlement_window"]),
        ("08:05:00", []),
        ("20:00:00", []),
    ],
)
def test_no_orders_from_five_to_eight_until_five_past(clock: str, hit: list[str]) -> None:
    moment = datetime.fromisoformat(f"2026-01-06T{clock}+00:00")
    held = a_short_call(quoted_at=moment)
    call = a_candidate(quoted_at=moment, strike=OTHER_STRIKE)
    state = a_state(timestamp=moment, positions=(held,), candidates=(call,))
    assert rules_hit(an_opening(call), state) == hit
    assert rules_hit(a_closing(held), state) == hit


# --- one order at a time --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "hit"),
    [
        ({}, ["intent_pending"]),
        ({"order_state": "speed_bumped"}, ["intent_pending"]),
        ({"direction": "buy"}, ["intent_pending"]),
        ({"order_state": "cancelled"}, []),
        ({"label": "made by hand"}, []),
        ({"symbol": symbol_of("ETH")}, []),
    ],
)
def test_no_new_decision_for_a_coin_while_an_order_of_ours_is_live(change: dict[str, Any], hit: list[str]) -> None:
    held = a_short_call(strike=OTHER_STRIKE)
    state = a_state(open_orders=(an_order(**change),), positions=(held,))
    assert rules_hit(an_opening(), state) == hit
    assert rules_hit(a_closing(held), state) == hit


@pytest.mark.parametrize(("symbol", "hit"), [(symbol_of("BTC"), ["intent_pending"]), (symbol_of("ETH"), [])])
def test_no_new_decision_for_a_coin_while_the_fate_of_an_order_is_unknown(symbol: str, hit: list[str]) -> None:
    assert rules_hit(an_opening(), a_state(unresolved_symbols=(symbol,))) == hit


# --- positions that cannot be judged -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "hit"),
    [
        ("BTC-PERPETUAL", ["unknown_position"]),
        ("BTC_USDC-16JAN26-90000-C", ["unknown_position"]),
        ("ETH-PERPETUAL", []),
    ],
)
def test_no_new_call_beside_a_position_that_cannot_be_judged(symbol: str, hit: list[str]) -> None:
    held = a_due_call()
    foreign = a_raw_position(symbol, kind="future", size=-50.0)
    state = a_state(other_positions=(foreign,), positions=(held,), candidates=(LATER_CALL,))
    assert rules_hit(an_opening(LATER_CALL), state) == hit
    assert rules_hit(a_roll(held, LATER_CALL), state) == hit
    assert rules_hit(a_closing(held), state) == []


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "hit"), [(0.2, []), (0.3, []), (0.1 + 0.2, []), (0.4, ["order_size"])])
def test_no_order_is_larger_than_the_largest_allowed(size: float, hit: list[str]) -> None:
    held = a_short_call(size=0.4)
    limit = {"max_order_size": 0.3, "order_size": 0.1}
    assert rules_hit(an_opening(size=size), btc=limit) == hit
    assert rules_hit(a_closing(held, size), a_state(positions=(held,)), btc=limit) == hit


@pytest.mark.parametrize(("size", "hit"), [(0.1, []), (0.3, []), (0.15, ["bad_size"]), (0.05, ["bad_size"])])
def test_a_sale_is_a_whole_number_of_the_smallest_amounts(size: float, hit: list[str]) -> None:
    assert rules_hit(an_opening(size=size)) == hit


# --- the direction of a roll ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expiry", "hit"),
    [(EXPIRY - timedelta(days=1), ["bad_roll"]), (EXPIRY, []), (EXPIRY + timedelta(days=7), [])],
)
def test_a_roll_never_goes_to_an_earlier_expiry(expiry: datetime, hit: list[str]) -> None:
    held, target = a_short_call(), a_candidate(expiry=expiry, strike=OTHER_STRIKE)
    assert rules_hit(a_roll(held, target), a_state(positions=(held,), candidates=(target,))) == hit


def test_a_call_is_never_rolled_to_itself() -> None:
    held = a_short_call()
    found = reasons(a_roll(held, a_candidate()), a_state(positions=(held,)))
    assert found == [f"bad_roll: {held.symbol} would be rolled into itself"]


# --- time to expiry -------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "hit"), [(899, ["expiry"]), (900, []), (901, [])])
def test_nothing_is_traded_within_the_last_quarter_of_an_hour(seconds: int, hit: list[str]) -> None:
    expiry = NOW + timedelta(seconds=seconds)
    held, call = a_short_call(expiry=expiry), a_candidate(expiry=expiry, strike=OTHER_STRIKE)
    state = a_state(positions=(held,), candidates=(call, LATER_CALL))
    assert rules_hit(an_opening(call), state) == hit
    assert rules_hit(a_closing(held), state) == hit
    assert rules_hit(a_roll(held, LATER_CALL), state) == hit


# --- quotes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_seconds", "hit"),
    [(0, []), (120, []), (121, ["quote_age"]), (-120, []), (-121, ["quote_age"])],
)
def test_quotes_older_than_the_limit_or_from_the_future_are_not_traded_on(age_seconds: int, hit: list[str]) -> None:
    quoted_at = NOW - timedelta(seconds=age_seconds)
    held = a_due_call(quoted_at=quoted_at)
    call = a_candidate(quoted_at=quoted_at)
    state = a_state(positions=(held,), candidates=(call, LATER_CALL))
    assert rules_hit(an_opening(call), state) == hit
    assert rules_hit(a_closing(held), state) == hit
    assert rules_hit(a_roll(held, LATER_CALL), state) == hit


def test_a_call_that_is_not_in_the_chain_is_not_bought_back() -> None:
    held = a_short_call(quoted_at=None, bid_price_coin=None, ask_price_coin=None)
    assert rules_hit(a_closing(held), a_state(positions=(held,))) == ["quote_missing"]


@pytest.mark.parametrize(("ask", "hit"), [(None, []), (0.0101, []), (0.01, []), (0.0099, ["quote_sanity"])])
def test_a_crossed_book_is_not_traded_on(ask: float | None, hit: list[str]) -> None:
    held = a_due_call(bid_price_coin=0.01, ask_price_coin=ask)
    call = a_candidate(bid_price_coin=0.01, ask_price_coin=ask)
    state = a_state(positions=(held,), candidates=(call,))
    assert rules_hit(an_opening(call), state) == hit
    assert rules_hit(a_closing(held), state) == hit


@pytest.mark.parametrize(("floor", "hit"), [(0.02, []), (0.015, []), (0.0149, ["price_collar"])])
def test_a_sale_that_might_end_too_far_below_the_mark_is_refused(floor: float, hit: list[str]) -> None:
    call = a_candidate(mark_price_coin=0.02, bid_price_coin=0.008, ask_price_coin=None, floor_price_coin=floor)
    assert rules_hit(an_opening(call), a_state(candidates=(call,)), risk={"price_collar_pct": 25}) == hit


def test_two_ticks_below_the_mark_are_inside_the_collar_of_a_cheap_call() -> None:
    call = a_candidate(mark_price_coin=0.0005, bid_price_coin=0.0003, floor_price_coin=0.0003, tick_size_coin=0.0001)
    assert rules_hit(an_opening(call), a_state(candidates=(call,))) == []
    one_below = call.model_copy(update={"floor_price_coin": 0.0002})
    assert rules_hit(an_opening(one_below), a_state(candidates=(one_below,))) == ["price_collar"]


def test_a_call_from_a_log_that_does_not_know_its_floor_is_judged_at_its_bid() -> None:
    call = a_candidate(mark_price_coin=0.02, bid_price_coin=0.0149, ask_price_coin=0.0160)
    assert rules_hit(an_opening(call), a_state(candidates=(call,))) == ["price_collar"]


# --- coverage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "hit"), [(0.5, []), (0.6, []), (0.7, ["coverage"])])
def test_calls_held_on_offer_and_new_never_exceed_the_coins_held(size: float, hit: list[str]) -> None:
    held = a_short_call(size=0.3, strike=OTHER_STRIKE, expiry=LATER_EXPIRY, delta=0.0)
    foreign_offer = an_order(amount_coin=0.2, filled_amount_coin=0.1, label="by hand", symbol=held.symbol)
    state = a_state(positions=(held,), open_orders=(foreign_offer,))
    assert rules_hit(an_opening(size=size), state) == hit


def test_a_fully_covered_account_can_roll_but_not_sell_more() -> None:
    held = a_due_call(size=1.0)
    state = a_state(positions=(held,), candidates=(LATER_CALL,))
    assert rules_hit(a_roll(held, LATER_CALL), state) == []
    assert "coverage" in rules_hit(an_opening(LATER_CALL), state)


def test_funds_of_another_coin_cover_nothing() -> None:
    eth = a_candidate("ETH")
    borrowed = an_account("ETH", coins=0.0, available_funds_coin=583.0, margin_balance_coin=678.0)
    state = a_state(accounts=(an_account("BTC"), borrowed), candidates=(eth,))
    assert "coverage" in rules_hit(an_opening(eth), state)


# --- margin -----------------------------------------------------------------------------------------

# Selling 0.1 of the usual call asks for 0.1 x (0.10 + 0.0105) and brings in 0.1 x 0.0100 less 0.1 x 0.0003.
ADDED_MARGIN_COIN, ADDED_CASH_COIN = 0.01105, 0.00097


@pytest.mark.parametrize(("above_limit", "hit"), [(-TINY, []), (TINY, ["margin"])])
def test_margin_after_the_trade_stays_at_or_below_the_limit(above_limit: float, hit: list[str]) -> None:
    account = an_account(initial_margin_coin=0.2)
    after_pct = 100.0 * (0.2 + ADDED_MARGIN_COIN) / (1.0 + ADDED_CASH_COIN)
    limits = {"max_margin_pct": after_pct - above_limit, "new_short_margin_pct_of_limit": 100}
    assert rules_hit(an_opening(), a_state(accounts=(account,)), risk=limits) == hit


@pytest.mark.parametrize(("used", "hit"), [(0.30, []), (0.45, []), (0.4501, ["margin_threshold"])])
def test_no_new_short_call_once_margin_is_above_ninety_percent_of_the_limit(used: float, hit: list[str]) -> None:
    state = a_state(accounts=(an_account(initial_margin_coin=used),))
    assert rules_hit(an_opening(), state, risk={"max_margin_pct": 50}) == hit


@pytest.mark.parametrize(
    ("coins", "sold", "hit"),
    [(1.0, 1.0, []), (0.98, 0.9, []), (0.1, 0.1, []), (0.09, 0.0, ["coverage"])],
)
def test_a_roll_after_a_loss_sells_what_the_coins_still_cover_and_is_blocked_where_that_is_nothing(
    coins: float, sold: float, hit: list[str]
) -> None:
    held = a_short_call(size=1.0, delta=-0.2)
    accounts = (an_account("BTC", coins=coins, margin_balance_coin=5.0),)
    state = a_state(accounts=accounts, positions=(held,), candidates=(LATER_CALL,))
    assert a_trade(state, a_roll(held, LATER_CALL)).sold_size == pytest.approx(sold)
    assert [rule for rule in rules_hit(a_roll(held, LATER_CALL), state) if rule == "coverage"] == hit


def test_a_roll_is_judged_by_the_margin_that_is_left_once_the_old_call_is_bought_back() -> None:
    held = a_due_call(size=1.0, mark_price_coin=0.01)
    state = a_state(
        accounts=(an_account(initial_margin_coin=0.46),), positions=(held,), candidates=(a_candidate(), LATER_CALL)
    )
    assert rules_hit(a_roll(held, LATER_CALL), state) == []
    assert "margin_threshold" in rules_hit(an_opening(), state)


def test_buying_back_is_never_stopped_by_margin_delta_or_exposure() -> None:
    held = a_short_call(size=1.0, delta=-1.0)
    state = a_state(accounts=(an_account(coins=0.5, initial_margin_coin=0.49),), positions=(held,))
    assert rules_hit(a_closing(held), state) == []


@pytest.mark.parametrize(
    "account",
    [
        an_account(margin_balance_coin=-0.5),
        an_account(is_cross_margin=True),
        an_account(is_cross_margin=True, total_initial_margin_usd=10.0),
        an_account(is_cross_margin=True, total_margin_balance_usd=100_000.0),
    ],
)
def test_margin_that_is_not_known_is_not_taken_for_none(account: CoinAccount) -> None:
    state = a_state(accounts=(account,))
    assert rules_hit(an_opening(), state) == ["margin"]
    assert "not known" in reasons(an_opening(), state)[0]
    assert margin_used_pct(account) is None


def test_an_account_without_margin_balance_sells_nothing() -> None:
    account = an_account(margin_balance_coin=0.0)
    assert rules_hit(an_opening(), a_state(accounts=(account,)), risk={"max_margin_pct": 100}) == ["margin"]
    assert margin_used_pct(account) is None


def test_a_cross_margin_account_is_judged_by_its_totals() -> None:
    totals: dict[str, Any] = {"is_cross_margin": True, "total_margin_balance_usd": 100_000.0}
    full = an_account(initial_margin_coin=0.01, total_initial_margin_usd=60_000.0, **totals)
    roomy = an_account(initial_margin_coin=0.99, total_initial_margin_usd=10_000.0, **totals)
    assert rules_hit(an_opening(), a_state(accounts=(full,))) == ["margin", "margin_threshold"]
    assert rules_hit(an_opening(), a_state(accounts=(roomy,))) == []
    assert margin_used_pct(full) == pytest.approx(60.0)


def test_the_margin_of_a_cross_account_after_a_trade_is_worked_out_in_usd() -> None:
    account = an_account(is_cross_margin=True, total_margin_balance_usd=200_000.0, total_initial_margin_usd=20_000.0)
    after_pct = estimated_margin_pct(a_trade(a_state(accounts=(account,)), an_opening()))
    assert after_pct == pytest.approx(100.0 * (20_000.0 + 1_105.0) / (200_000.0 + 97.0))


# --- margin: the estimate against the paper exchange ---------------------------------------------------


def sell_at_bid(client: DeribitClient, call: CandidateOption, amount: float) -> None:
    _trade_now(client, "sell", call.symbol, amount, call.sale_price_coin)


def _trade_now(client: DeribitClient, direction: Any, symbol: str, amount: float, price: float) -> None:
    request = OrderRequest(
        label=f"cc-test-{direction}-{symbol}",
        symbol=symbol,
        direction=direction,
        amount_coin=amount,
        price_coin=price,
        reduce_only=direction == "buy",
        quoted_at=client.server_now(),
    )
    receipt = client.place_limit_order(request)
    assert receipt.outcome == SendOutcome.ACCEPTED, receipt.error
    assert receipt.order is not None
    assert receipt.order.filled_amount_coin == amount


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_margin_expected_after_a_sale_is_what_the_exchange_then_reports(seed: int) -> None:
    client = a_simulated_client(seed)
    state = build_agent_state(client, a_config(btc={"ivrv_min": 0}))
    call = state.candidates_for("BTC")[0]
    expected_pct = estimated_margin_pct(a_trade(state, an_opening(call)))
    sell_at_bid(client, call, 0.1)
    assert margin_used_pct(client.get_account_summary("BTC")) == pytest.approx(expected_pct, abs=1e-5)


def test_margin_expected_after_a_roll_is_what_the_exchange_then_reports() -> None:
    client, config = a_simulated_client(), a_config(btc={"ivrv_min": 0})
    calls = sorted(build_agent_state(client, config).candidates_for("BTC"), key=lambda call: call.expiry)
    sell_at_bid(client, calls[0], 0.2)
    state, target = build_agent_state(client, config), calls[-1]
    (held,) = state.short_calls("BTC")
    expected_pct = estimated_margin_pct(a_trade(state, a_roll(held, target)))
    _trade_now(client, "buy", held.symbol, 0.2, held.ask_price_coin or 0.0)
    sell_at_bid(client, target, 0.2)
    assert margin_used_pct(client.get_account_summary("BTC")) == pytest.approx(expected_pct, abs=1e-5)


# --- net delta ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delta_held", "hit"), [(-0.40, []), (-0.58, []), (-0.5801, ["net_delta"])])
def test_net_delta_after_the_trade_stays_within_its_share_of_the_coins(delta_held: float, hit: list[str]) -> None:
    held = a_short_call(strike=OTHER_STRIKE, delta=delta_held)
    limit = {"max_net_delta_fraction": 0.6}  # 0.6 of 1 BTC; the sale adds 0.1 x 0.2
    assert rules_hit(an_opening(), a_state(positions=(held,)), risk=limit) == hit


@pytest.mark.parametrize(("delta_held", "hit"), [(0.62, []), (0.6201, ["net_delta"])])
def test_net_delta_is_limited_upwards_too(delta_held: float, hit: list[str]) -> None:
    long_call = a_short_call(side="long", strike=OTHER_STRIKE, delta=delta_held)
    assert rules_hit(an_opening(), a_state(positions=(long_call,)), risk={"max_net_delta_fraction": 0.6}) == hit


def test_a_roll_gives_back_the_delta_of_the_part_that_is_bought_back() -> None:
    held = a_due_call(size=1.0, delta=-0.9)
    state = a_state(positions=(held,), candidates=(LATER_CALL,))
    # half of it: -0.9 + 0.45 - 0.5 x 0.2 = -0.55
    assert rules_hit(a_roll(held, LATER_CALL, 0.5), state, risk={"max_net_delta_fraction": 0.55}) == []
    assert rules_hit(a_roll(held, LATER_CALL, 0.5), state, risk={"max_net_delta_fraction": 0.54}) == ["net_delta"]


# --- exposure per expiry --------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "hit"), [(0.1, []), (0.2, []), (0.3, ["expiry_exposure"])])
def test_calls_of_one_expiry_stay_within_their_share_of_the_coins(size: float, hit: list[str]) -> None:
    same, other = a_short_call(size=0.3, strike=OTHER_STRIKE), a_short_call(size=0.2, expiry=LATER_EXPIRY)
    state = a_state(positions=(same, other, a_short_call("ETH", size=5.0)))
    assert rules_hit(an_opening(size=size), state, risk={"max_expiry_exposure_fraction": 0.5}) == hit


def test_calls_on_offer_count_for_their_expiry() -> None:
    state = a_state(open_orders=(an_order(amount_coin=0.5, label="by hand"),))
    assert rules_hit(an_opening(), state, risk={"max_expiry_exposure_fraction": 0.5}) == ["expiry_exposure"]
    assert rules_hit(an_opening(), state, risk={"max_expiry_exposure_fraction": 0.6}) == []


def test_a_roll_within_one_expiry_adds_nothing_to_it() -> None:
    held, target = a_short_call(size=0.5), a_candidate(strike=OTHER_STRIKE)
    state = a_state(positions=(held,), candidates=(target,))
    assert rules_hit(a_roll(held, target), state, risk={"max_expiry_exposure_fraction": 0.5}) == []


def test_a_roll_to_another_expiry_counts_there_in_full() -> None:
    held = a_due_call(size=0.3)
    there = a_short_call(size=0.3, expiry=LATER_EXPIRY, strike=OTHER_STRIKE)
    state = a_state(positions=(held, there), candidates=(LATER_CALL,))
    assert rules_hit(a_roll(held, LATER_CALL), state, risk={"max_expiry_exposure_fraction": 0.6}) == []
    assert rules_hit(a_roll(held, LATER_CALL), state, risk={"max_expiry_exposure_fraction": 0.5}) == ["expiry_exposure"]


# --- the rules as a whole --------------------------------------------------------------------------------


def test_every_reason_names_the_number_and_the_limit() -> None:
    found = reasons(an_opening(size=3.0), a_state(accounts=(an_account(initial_margin_coin=0.5),)))
    assert found == [
        "order_size: 3 is above max_order_size 1",
        "coverage: 3 BTC of calls after the trade (held 0, on offer 0, this 3, bought back 0)"
        " is above the 1 coins held",
        "margin: 80.8 % used after the trade is above max_margin_pct 50 %",
        "margin_threshold: 50.0 % already used is above 45.0 % (90 % of max_margin_pct 50 %)",
        "expiry_exposure: 3 BTC of calls expiring 16 Jan 2026 is above 1 (max_expiry_exposure_fraction 1 of 1 coins)",
    ]


class Offence(NamedTuple):
    """A state and an action that break one rule."""

    state: AgentState
    action: ProposedAction
    names: list[str]


OFFENCES: dict[Callable[..., Any], Offence] = {
    risk_engine.kill_switch: Offence(a_state(kill_switch_on=True), an_opening(), ["kill_switch"]),
    risk_engine.halted: Offence(a_state(trading_state=TradingState.HALTED), an_opening(), ["halted"]),
    risk_engine.reducing: Offence(a_state(trading_state=TradingState.REDUCING), an_opening(), ["reducing"]),
    risk_engine.settlement_window: Offence(
        a_state(timestamp=EXPIRY.replace(day=6), candidates=(a_candidate(quoted_at=EXPIRY.replace(day=6)),)),
        an_opening(),
        ["settlement_window"],
    ),
    risk_engine.orders_per_day: Offence(a_state(orders_today=20), an_opening(), ["orders_per_day"]),
    risk_engine.unfilled_orders_per_day: Offence(
        a_state(unfilled_orders_today=1000), an_opening(), ["unfilled_orders_per_day"]
    ),
    risk_engine.intent_pending: Offence(a_state(open_orders=(an_order(),)), an_opening(), ["intent_pending"]),
    risk_engine.unknown_position: Offence(
        a_state(other_positions=(a_raw_position("BTC-PERPETUAL", kind="future"),)), an_opening(), ["unknown_position"]
    ),
    risk_engine.order_size: Offence(a_state(), an_opening(size=3.0), ["order_size", "coverage", "expiry_exposure"]),
    risk_engine.bad_size: Offence(a_state(), an_opening(size=0.15), ["bad_size"]),
    risk_engine.bad_roll: Offence(
        a_state(positions=(a_short_call(),)), a_roll(a_short_call(), a_candidate()), ["bad_roll"]
    ),
    risk_engine.expiry: Offence(
        a_state(candidates=(a_candidate(expiry=NOW + timedelta(minutes=5)),)),
        an_opening(a_candidate(expiry=NOW + timedelta(minutes=5))),
        ["expiry"],
    ),
    risk_engine.quote_missing: Offence(
        a_state(positions=(a_short_call(quoted_at=None),)), a_closing(a_short_call()), ["quote_missing"]
    ),
    risk_engine.quote_age: Offence(
        a_state(candidates=(a_candidate(quoted_at=NOW - timedelta(hours=1)),)), an_opening(), ["quote_age"]
    ),
    risk_engine.quote_sanity: Offence(
        a_state(candidates=(a_candidate(ask_price_coin=0.009),)), an_opening(), ["quote_sanity"]
    ),
    risk_engine.price_collar: Offence(
        a_state(candidates=(a_candidate(mark_price_coin=0.5),)), an_opening(), ["price_collar"]
    ),
    risk_engine.coverage: Offence(
        a_state(positions=(a_short_call(size=1.0, expiry=LATER_EXPIRY),)), an_opening(), ["coverage"]
    ),
    risk_engine.margin: Offence(
        a_state(accounts=(an_account(initial_margin_coin=0.45, margin_balance_coin=1.0),), candidates=(a_candidate(),)),
        an_opening(size=1.0),
        ["margin"],
    ),
    risk_engine.margin_threshold: Offence(
        a_state(accounts=(an_account(initial_margin_coin=0.46),)), an_opening(), ["margin_threshold"]
    ),
    risk_engine.net_delta: Offence(
        a_state(positions=(a_short_call(strike=OTHER_STRIKE, delta=-0.9),)), an_opening(), ["net_delta"]
    ),
    risk_engine.expiry_exposure: Offence(
        a_state(
            positions=(a_short_call(strike=OTHER_STRIKE, size=1.0, delta=-0.1),), accounts=(an_account(coins=1.0),)
        ),
        an_opening(),
        ["coverage", "expiry_exposure"],  # with max_expiry_exposure_fraction 1 the two limits are one
    ),
}


def test_every_rule_has_its_offence_here() -> None:
    assert list(OFFENCES) == list(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_asked_and_blocks_alone(rule: Callable[..., Any]) -> None:
    offence = OFFENCES[rule]
    assert rules_hit(offence.action, offence.state) == offence.names
    assert rule.__name__ in offence.names


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_many_actions_of_one_state_are_judged_as_each_is_alone(rule: Callable[..., Any]) -> None:
    """All the offences' actions, in several sizes, on the state of each offence."""
    state, asked = OFFENCES[rule].state or a_state(), [offence.action for offence in OFFENCES.values()]
    asked += [action.model_copy(update={"size": size}) for action in asked for size in (0.05, 0.1, 0.3)]
    verdicts = [check_action_allowed(state, action, a_config())[0] for action in asked]
    assert are_allowed(state, asked, a_config()) == verdicts


@pytest.mark.parametrize("coins", [0.3, 0.6, 1.0])
@pytest.mark.parametrize(
    "risk", [{}, {"max_margin_pct": 8.0}, {"max_net_delta_fraction": 0.1}, {"max_expiry_exposure_fraction": 0.3}]
)
def test_rolls_between_many_calls_are_judged_as_each_is_alone(coins: float, risk: Mapping[str, float]) -> None:
    held = (
        a_due_call(),
        a_short_call(strike=OTHER_STRIKE, size=0.2),
        a_short_call(strike=130_000.0, expiry=LATER_EXPIRY),
    )
    calls = (a_candidate(), LATER_CALL, a_candidate(strike=OTHER_STRIKE, ask_price_coin=0.001))
    state = a_state(positions=held, candidates=calls, accounts=(an_account(coins=coins),))
    rolls = [a_roll(one, other, size) for one in held for other in calls for size in (0.1, 0.2, 0.15)]
    asked = [*rolls, *(an_opening(call) for call in calls), *map(a_closing, held)]
    verdicts = [check_action_allowed(state, action, a_config(risk=risk))[0] for action in asked]
    assert are_allowed(state, asked, a_config(risk=risk)) == verdicts
    assert len(set(verdicts)) == 2


def test_the_reasons_of_all_rules_are_listed_together() -> None:
    moment = EXPIRY.replace(hour=7, minute=58)
    call = a_candidate(ask_price_coin=0.001, mark_price_coin=0.5)
    state = a_state(
        timestamp=moment,
        kill_switch_on=True,
        trading_state=TradingState.HALTED,
        orders_today=20,
        candidates=(call,),
        positions=(a_short_call(size=1.0, strike=OTHER_STRIKE, delta=-0.9),),
        open_orders=(an_order(),),
        other_positions=(a_raw_position("BTC-PERPETUAL", kind="future"),),
        accounts=(an_account(initial_margin_coin=0.46),),
        markets=(a_market(),),
    )
    assert rules_hit(an_opening(size=1.55), state) == [
        "kill_switch",
        "halted",
        "settlement_window",
        "orders_per_day",
        "intent_pending",
        "unknown_position",
        "order_size",
        "bad_size",
        "expiry",
        "quote_age",
        "quote_sanity",
        "price_collar",
        "coverage",
        "margin",
        "margin_threshold",
        "net_delta",
        "expiry_exposure",
    ]
