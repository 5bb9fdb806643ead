"""Execution: how a sale and a buy-back are worked, what stops them, and that a roll never sells before it bought back.

Everything runs against the paper exchange: on a scripted market where single quotes matter, on the simulated one else.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from execution import execute_action
from models import (
    ActionType,
    AgentState,
    AuthenticationError,
    ExecutionResult,
    LegResult,
    Order,
    ProposedAction,
    SendOutcome,
    WrongEnvironmentError,
)
from orders.recovery import cancel_leftovers, note_duplicates, recover_orders
from paper_exchange.setups import dry_run_setup
from paper_exchange.transport import PaperTransport
from policy_rule_based import decide_action
from state_builder import build_agent_state
from tests.builders.agent import (
    NEXT_CALL,
    Desk,
    ScriptedDesk,
    a_foreign_sell,
    an_order_request,
    closing,
    ended_orders,
    ends_of,
    opening,
    order_log_of_the_next_process,
    rolling,
    scripted_desk,
    simulated_desk,
)
from tests.builders.configs import a_config
from tests.builders.paper import CALL, NEAR_CALL, PUT, START, ScriptedMarket, exchange_on, market_with, place
from tests.builders.states import a_candidate, a_client_on, a_short_call, a_state, an_order
from tests.builders.wire import (
    Answer,
    Fault,
    answer_lost,
    delivered_twice,
    lost_on_the_way,
    meanwhile,
    refused,
    reply_changed,
    result_of,
)

BUY, SELL = "private/buy", "private/sell"


def execute(desk: Desk, action: ProposedAction, state: AgentState | None = None) -> ExecutionResult:
    return execute_action(desk.client, action, desk.config, state)


def only_leg(result: ExecutionResult) -> LegResult:
    (leg,) = result.legs
    return leg


def wide_desk(folder: Path, bid: float | None = 0.02, ask: float | None = 0.0225, **more: Any) -> ScriptedDesk:
    """A desk where the sides of CALL's book are five ticks apart."""
    return scripted_desk(folder, market_with(CALL, bid, ask, **{"mark": 0.0212, **more}))


def short_desk(folder: Path, size: float = 1.0, coins_btc: float = 10.0, **sections: Any) -> ScriptedDesk:
    """A desk that has sold CALL at 0.02; CALL is then shown at 0.02 / 0.0225, NEXT_CALL at 0.03 / 0.031."""
    desk = scripted_desk(folder, coins_btc=coins_btc, **sections)
    place(desk.account, "sell", size, 0.02)
    desk.market.show(CALL, 0.02, 0.0225, mark=0.0212)
    desk.market.show(NEXT_CALL, 0.03, 0.031, mark=0.0305)
    return desk


# --- opening: from mid down to the floor ------------------------------------------------------------


def test_a_sale_starts_at_mid_rounded_up_to_the_tick_and_steps_down_to_the_bid(tmp_path: Path) -> None:
    leg = only_leg(execute(wide_desk(tmp_path), opening()))
    assert leg.prices_tried_coin == (0.0215, 0.021, 0.0205, 0.02)
    assert (leg.status, leg.filled_coin, leg.avg_price_coin) == ("filled", 1.0, 0.02)


def test_a_sale_never_goes_below_its_floor_and_is_cancelled_there(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    leg = only_leg(execute(desk, opening()))
    assert leg.prices_tried_coin == (0.02, 0.019, 0.018, 0.017)
    assert (leg.status, leg.filled_coin, leg.avg_price_coin) == ("not_filled", 0.0, None)
    assert desk.account.open_orders() == []
    assert [order.state for order in desk.account.state.closed_orders.values()] == ["cancelled"]


def test_an_order_rests_for_the_configured_time_at_each_price(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path, market_with(bid=0.01, ask=0.03), run={"order_wait_seconds": 7.0})
    execute(desk, opening())
    assert desk.clock.now() - START == timedelta(seconds=4 * 7)


def test_one_order_is_moved_and_never_two_stand_at_once(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    execute(desk, opening())
    orders = desk.wire.methods(SELL, "private/edit", "private/cancel")
    assert orders == [SELL, "private/edit", "private/edit", "private/edit", "private/cancel"]


@pytest.mark.parametrize(
    ("flags", "edits"),
    [
        ({"post_only": True}, 1),
        ({"reduce_only": True}, 1),
        ({"post_only": False, "reduce_only": False}, 3),
        ({"post_only": None, "reduce_only": None}, 3),
    ],
)
def test_an_order_that_an_edit_made_another_kind_of_is_taken_back(
    tmp_path: Path, flags: dict[str, bool | None], edits: int
) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb("private/edit", reply_changed(lambda reply: reply["result"]["order"].update(flags)))
    execute(desk, opening())
    orders = desk.wire.methods(SELL, "private/edit", "private/cancel")
    assert orders == [SELL, *["private/edit"] * edits, "private/cancel"]


@pytest.mark.parametrize("flags", [{"post_only": True}, {"reduce_only": True}])
def test_an_order_accepted_as_another_kind_than_asked_for_is_taken_back_and_told(
    tmp_path: Path, flags: dict[str, bool]
) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb(SELL, reply_changed(lambda reply: reply["result"]["order"].update(flags)))
    leg = only_leg(execute(desk, opening()))
    assert "accepted order differs" in leg.note
    assert desk.wire.methods(SELL, "private/edit", "private/cancel") == [SELL, "private/cancel"]


def test_a_bid_that_comes_to_the_order_fills_it_at_its_own_price(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path)
    desk.wire.disturb("private/edit", meanwhile(lambda: desk.market.show(CALL, 0.022, 0.023)))
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, leg.avg_price_coin, leg.prices_tried_coin) == ("filled", 0.0215, (0.0215,))


def test_the_leg_says_label_amount_price_fee_and_slippage_against_the_mid_of_the_decision(tmp_path: Path) -> None:
    call = a_candidate(symbol=CALL, bid_price_coin=0.021, ask_price_coin=0.023, mark_price_coin=0.022)
    state = a_state(decision_id="260105120000-abc123", candidates=(call,))
    result = execute(wide_desk(tmp_path), opening(size=0.3), state)
    leg = only_leg(result)
    assert (result.status, leg.label, leg.requested_coin) == ("filled", "cc-260105120000-abc123-sell", 0.3)
    assert leg.fee_coin == pytest.approx(0.3 * 0.0003)
    assert leg.slippage_coin == pytest.approx(0.02 - 0.022)


def test_a_part_that_fills_is_counted_and_the_rest_is_cancelled(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid_amount=0.3)
    result = execute(desk, opening())
    assert (result.status, only_leg(result).status, only_leg(result).filled_coin) == (
        "partly_filled",
        "partly_filled",
        0.3,
    )
    assert desk.account.open_orders() == []
    assert desk.account.state.size_of(CALL) == -0.3


def test_doing_nothing_sends_nothing(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    result = execute(desk, ProposedAction(type=ActionType.DO_NOTHING, reason="a test says so"))
    assert (result.status, result.legs, desk.wire.sent) == ("none", (), [])


# --- closing: the mirror image -------------------------------------------------------------------------


def test_a_buy_back_starts_at_mid_rounded_down_and_steps_up_to_the_ask(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    held = a_short_call(symbol=CALL, size=1.0, bid_price_coin=0.02, ask_price_coin=0.022)
    leg = only_leg(execute(desk, closing(), a_state(positions=(held,))))
    assert leg.prices_tried_coin == (0.021, 0.0215, 0.022, 0.0225)
    assert (leg.status, leg.avg_price_coin, leg.direction) == ("filled", 0.0225, "buy")
    assert leg.slippage_coin == pytest.approx(0.021 - 0.0225)
    assert desk.account.state.size_of(CALL) == 0.0


def test_a_buy_back_may_only_reduce(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    execute(desk, closing())
    assert [params["reduce_only"] for params in desk.wire.params(BUY)] == [True]


def test_a_buy_back_never_goes_above_its_ceiling_and_is_cancelled_there(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.market.show(CALL, 0.01, 0.03, mark=0.02)
    leg = only_leg(execute(desk, closing()))
    assert leg.prices_tried_coin == (0.02, 0.021, 0.022, 0.023)
    assert (leg.status, desk.account.state.size_of(CALL)) == ("not_filled", -1.0)


def test_buying_back_what_is_not_held_is_rejected(tmp_path: Path) -> None:
    result = execute(scripted_desk(tmp_path), closing())
    assert (result.status, only_leg(result).status) == ("rejected", "rejected")


# --- nothing is sent ----------------------------------------------------------------------------------


def assert_nothing_sent(desk: Desk, result: ExecutionResult, why: str) -> None:
    leg = only_leg(result)
    assert (result.status, leg.status, leg.prices_tried_coin) == ("not_filled", "not_sent", ())
    assert why in leg.note
    assert why in result.note
    assert desk.wire.methods(BUY, SELL) == []
    assert desk.order_lines() == []


@pytest.mark.parametrize(("seconds", "is_sent"), [(119.0, True), (120.0, True), (120.5, False)])
def test_no_order_on_a_quote_older_than_two_minutes(tmp_path: Path, seconds: float, is_sent: bool) -> None:
    desk = scripted_desk(tmp_path)
    desk.clock.sleep(seconds)
    result = execute(desk, opening())
    if is_sent:
        assert len(desk.wire.methods(SELL)) == 1
    else:
        assert_nothing_sent(desk, result, "s old, at most 120 s allowed")


@pytest.mark.parametrize(("age_seconds", "prices"), [(110.0, 2), (110.5, 1)])
def test_a_price_is_not_moved_once_the_quote_has_grown_old(tmp_path: Path, age_seconds: float, prices: int) -> None:
    market = ScriptedMarket(START)
    market.show(CALL, 0.02, 0.025)  # wide enough for more than one step; each waits ten seconds
    desk = scripted_desk(tmp_path, market)
    desk.clock.sleep(age_seconds)
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, len(leg.prices_tried_coin)) == ("not_filled", prices)
    assert desk.account.open_orders() == []


def test_a_price_is_not_moved_into_the_settlement_window(tmp_path: Path) -> None:
    market = ScriptedMarket(datetime.fromisoformat("2026-01-07T07:54:45+00:00"))
    market.show(CALL, 0.02, 0.025)
    desk = scripted_desk(tmp_path, market)
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, len(leg.prices_tried_coin)) == ("not_filled", 1)
    assert desk.account.open_orders() == []


def test_a_price_is_not_moved_while_the_kill_file_exists(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    order = desk.client.place_limit_order(an_order_request(price_coin=0.03)).order
    assert order is not None
    desk.config.risk.kill_file.parent.mkdir(parents=True, exist_ok=True)
    desk.config.risk.kill_file.write_text("stop")
    receipt = desk.client.edit_order(order, 0.025, desk.clock.now())
    assert (receipt.outcome, desk.wire.methods("private/edit")) == (SendOutcome.NOT_SENT, [])


def test_a_stop_ends_the_ladder_and_takes_the_order_back(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path)
    desk.clock.sleep = lambda seconds: None  # type: ignore[method-assign]  # a wait that a signal cut short
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, len(leg.prices_tried_coin)) == ("not_filled", 1)
    assert desk.account.open_orders() == []


def test_no_order_on_a_quote_from_the_future(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.market.show(CALL, 0.02, 0.021, timestamp_ms=desk.market.now_ms + 121_000)
    assert_nothing_sent(desk, execute(desk, opening()), "-121 s old")


@pytest.mark.parametrize(
    ("clock_time", "is_sent"),
    [("07:54:49", True), ("07:54:50", False), ("07:55:00", False), ("08:04:59", False), ("08:05:00", True)],
)
def test_no_order_from_five_to_eight_until_five_past(tmp_path: Path, clock_time: str, is_sent: bool) -> None:
    market = ScriptedMarket(datetime.fromisoformat(f"2026-01-07T{clock_time}+00:00"))
    market.show(CALL, 0.02, 0.021)
    desk = scripted_desk(tmp_path, market)
    result = execute(desk, opening())
    if is_sent:
        assert len(desk.wire.methods(SELL)) == 1
    else:
        assert_nothing_sent(desk, result, "no orders from 07:55 to 08:05 UTC")


@pytest.mark.parametrize(("clock_time", "is_sent"), [("07:44:59", True), ("07:45:00", True), ("07:45:01", False)])
def test_no_order_in_the_last_quarter_of_an_hour_of_an_option(tmp_path: Path, clock_time: str, is_sent: bool) -> None:
    market = ScriptedMarket(datetime.fromisoformat(f"2026-01-06T{clock_time}+00:00"))
    market.show(NEAR_CALL, 0.02, 0.021)
    desk = scripted_desk(tmp_path, market)
    result = execute(desk, opening(NEAR_CALL))
    if is_sent:
        assert result.status == "filled"
    else:
        assert_nothing_sent(desk, result, "expires within 15 minutes")


def with_result(**changes: object) -> Fault:
    """The exchange's own result with some members replaced."""
    return reply_changed(lambda reply: reply["result"].update(changes))


@pytest.mark.parametrize(
    ("method", "fault", "why"),
    [
        ("public/ticker", with_result(state="halted"), "is not open for trading"),
        ("public/ticker", with_result(state="settlement"), "is not open for trading"),
        ("public/get_instrument", with_result(is_active=False), "is not open for trading"),
        ("public/get_instrument", with_result(kind="future"), "is not open for trading"),
        ("public/status", result_of({"locked": "true"}), "the exchange is locked (true)"),
        ("public/status", result_of({"locked": "partial"}), "the exchange is locked (partial)"),
        ("public/ticker", with_result(best_bid_price=0.022, best_ask_price=0.021), "makes no sense"),
        ("public/ticker", with_result(mark_price=-0.01), "makes no sense"),
        ("private/get_open_orders", refused(13021, "forbidden"), "13021 forbidden"),
        ("private/get_positions", refused(13021, "forbidden"), "13021 forbidden"),
        ("private/get_account_summary", refused(13021, "forbidden"), "13021 forbidden"),
        ("public/ticker", refused(13020, "not_found"), "13020 not_found"),
    ],
)
def test_a_last_look_that_finds_something_wrong_stops_the_order(
    tmp_path: Path, method: str, fault: Fault, why: str
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(method, fault)
    assert_nothing_sent(desk, execute(desk, opening()), why)


def test_a_book_whose_sides_meet_is_traded(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.0205, ask=0.0205)
    assert only_leg(execute(desk, opening())).prices_tried_coin == (0.0205,)


def test_a_sale_without_a_bid_starts_at_the_mark_and_is_taken_back_when_nobody_comes(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=None, ask=0.03, mark=0.02)
    leg = only_leg(execute(desk, opening()))
    assert (leg.prices_tried_coin[0], leg.status, desk.account.open_orders()) == (0.02, "not_filled", [])


def test_an_answer_from_another_environment_is_not_swallowed(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("public/ticker", reply_changed(lambda reply: reply.update(testnet=False)))
    with pytest.raises(WrongEnvironmentError):
        execute(desk, opening())
    assert desk.wire.methods(SELL) == []


def test_a_key_that_is_no_longer_accepted_is_not_swallowed(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("public/auth", refused(13004, "invalid_credentials"))
    with pytest.raises(AuthenticationError):
        execute(desk, opening())
    assert desk.wire.methods(SELL) == []


def test_a_kill_file_that_appears_at_the_last_moment_stops_the_order(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("private/get_account_summary", meanwhile(desk.config.risk.kill_file.touch))
    assert_nothing_sent(desk, execute(desk, opening()), "the kill file exists")


# --- room ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coins", "sold"), [(1.5, 1.0), (1.0, 1.0), (0.99, 0.9), (0.35, 0.3), (0.1, 0.1), (0.09, None), (0.0, None)]
)
def test_no_more_calls_are_sold_than_coins_are_held(tmp_path: Path, coins: float, sold: float | None) -> None:
    desk = scripted_desk(tmp_path, coins_btc=coins)
    result = execute(desk, opening(size=1.0))
    if sold is None:
        assert_nothing_sent(desk, result, "no free coins left")
    else:
        assert [params["amount"] for params in desk.wire.params(SELL)] == [sold]


def test_calls_held_and_offers_of_others_leave_less_room(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path, coins_btc=1.05)
    place(desk.account, "sell", 0.4, 0.02)
    a_foreign_sell(desk, 0.3)
    execute(desk, opening(size=1.0))
    assert [params["amount"] for params in desk.wire.params(SELL)] == [0.3]


def test_a_bought_call_gives_no_room_and_a_sold_put_takes_none(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path, coins_btc=1.05)
    desk.market.show(PUT, 0.01, 0.011)
    place(desk.account, "sell", 0.3, 0.01, PUT)
    place(desk.account, "buy", 0.2, 0.021)
    execute(desk, opening(size=1.0))
    assert [params["amount"] for params in desk.wire.params(SELL)] == [1.0]


def test_open_orders_are_read_before_positions_so_that_a_fill_in_between_counts_twice(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path, coins_btc=1.05)
    a_foreign_sell(desk, 0.4)
    filled = meanwhile(lambda: desk.market.show(NEXT_CALL, 0.04, 0.041, mark=0.0405))
    desk.wire.disturb("private/get_positions", filled)
    execute(desk, opening(size=1.0))
    assert [params["amount"] for params in desk.wire.params(SELL)] == [0.2]


# --- rolling ---------------------------------------------------------------------------------------------


def test_a_roll_buys_back_first_and_then_sells(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    result = execute(desk, rolling())
    assert desk.wire.methods(BUY, SELL) == [BUY, SELL]
    assert [(leg.direction, leg.symbol, leg.status) for leg in result.legs] == [
        ("buy", CALL, "filled"),
        ("sell", NEXT_CALL, "filled"),
    ]
    assert (desk.account.state.size_of(CALL), desk.account.state.size_of(NEXT_CALL)) == (0.0, -1.0)


def test_the_account_is_read_again_between_the_two_legs_of_a_roll(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    execute(desk, rolling())
    seen = desk.wire.methods(BUY, "private/get_positions", "private/get_account_summary", SELL)
    assert seen == [BUY, "private/get_positions", "private/get_account_summary", SELL]


def test_a_roll_sells_no_more_than_was_bought_back(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.market.show(CALL, 0.02, 0.0225, mark=0.0212, ask_amount=0.4)
    result = execute(desk, rolling())
    assert [leg.filled_coin for leg in result.legs] == [0.4, 0.4]
    assert result.status == "partly_filled"
    assert (desk.account.state.size_of(CALL), desk.account.state.size_of(NEXT_CALL)) == (-0.6, -0.4)


def test_a_roll_sells_no_more_than_has_room(tmp_path: Path) -> None:
    desk = short_desk(tmp_path, coins_btc=1.0)
    a_foreign_sell(desk, 0.4)
    result = execute(desk, rolling())
    assert [leg.filled_coin for leg in result.legs] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (answer_lost(), "unknown"),
        (lost_on_the_way(httpx.WriteError), "unknown"),
        (refused(13888, "timed_out"), "unknown"),
        (refused(10009, "not_enough_funds"), "rejected"),
        (lost_on_the_way(httpx.ConnectError), "not_filled"),
    ],
)
def test_a_roll_whose_buy_back_is_not_sure_sells_nothing(tmp_path: Path, fault: Fault, status: str) -> None:
    desk = short_desk(tmp_path)
    desk.wire.disturb(BUY, fault)
    result = execute(desk, rolling())
    assert (result.status, len(result.legs)) == (status, 1)
    assert desk.wire.methods(SELL) == []


def test_a_roll_whose_buy_back_finds_no_seller_sells_nothing(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.market.show(CALL, 0.01, 0.04, mark=0.02)
    assert execute(desk, rolling()).status == "not_filled"
    assert desk.wire.methods(SELL) == []


def test_a_roll_whose_buy_back_traded_but_whose_end_is_unknown_sells_nothing(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.market.show(CALL, 0.02, 0.0225, mark=0.0212, ask_amount=0.4)
    desk.wire.disturb("private/cancel", lost_on_the_way())
    result = execute(desk, rolling())
    assert (result.status, only_leg(result).status, only_leg(result).filled_coin) == ("unknown", "unknown", 0.4)
    assert desk.wire.methods(SELL) == []


def test_a_roll_whose_accepted_buy_back_names_another_symbol_ends_as_unknown(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.wire.disturb(BUY, reply_changed(lambda reply: reply["result"]["order"].update(instrument_name=NEXT_CALL)))
    result = execute(desk, rolling())
    assert (result.status, only_leg(result).status, desk.wire.methods(SELL)) == ("unknown", "unknown", [])


def stop(desk: Desk) -> None:
    desk.clock.__dict__["is_stopped"] = True


@pytest.mark.parametrize("method", [BUY, "private/get_order_state_by_label", "private/get_user_trades_by_order"])
def test_a_roll_that_is_stopped_between_its_legs_does_not_send_the_second(tmp_path: Path, method: str) -> None:
    desk = short_desk(tmp_path)
    desk.wire.disturb(method, meanwhile(lambda: stop(desk)))
    result = execute(desk, rolling())
    assert (only_leg(result).direction, result.status, desk.wire.methods(SELL)) == ("buy", "partly_filled", [])


def test_a_roll_whose_sale_is_refused_ends_flat_and_covered(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.wire.disturb(SELL, refused(10009, "not_enough_funds"))
    result = execute(desk, rolling())
    assert (result.status, [leg.status for leg in result.legs]) == ("partly_filled", ["filled", "rejected"])
    assert desk.account.state.size_of(NEXT_CALL) == 0.0


def test_both_legs_of_a_roll_carry_the_decision_in_their_labels(tmp_path: Path) -> None:
    result = execute(short_desk(tmp_path), rolling(), a_state(decision_id="260105120000-abc123"))
    assert [leg.label for leg in result.legs] == ["cc-260105120000-abc123-buy", "cc-260105120000-abc123-sell"]


# --- when the exchange does something else -------------------------------------------------------------------


def test_a_refused_order_says_what_the_exchange_said(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, refused(10005, "price_too_low 0.025"))
    result = execute(desk, opening())
    assert (result.status, only_leg(result).status) == ("rejected", "rejected")
    assert "price_too_low 0.025" in result.note


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"price": 0.03}, "not_filled"),
        ({"amount": 2.0}, "not_filled"),
        ({"direction": "buy"}, "unknown"),
        ({"label": "somebody else's"}, "not_filled"),
        ({"instrument_name": NEXT_CALL}, "unknown"),
        ({"price": "market_price"}, "not_filled"),
    ],
)
def test_an_order_that_is_not_what_was_asked_is_cancelled_and_noted(
    tmp_path: Path, change: dict[str, Any], status: str
) -> None:
    desk = wide_desk(tmp_path)
    desk.wire.disturb(SELL, reply_changed(lambda reply: reply["result"]["order"].update(change)))
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, desk.account.open_orders()) == (status, [])
    assert "accepted order differs" in leg.note
    assert desk.wire.methods("private/edit") == []


def test_an_order_filled_just_before_its_cancel_arrives_is_read_again_and_counted(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb("private/cancel", meanwhile(lambda: desk.market.show(CALL, 0.018, 0.03)))
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, leg.filled_coin, leg.avg_price_coin) == ("filled", 1.0, 0.017)
    assert desk.wire.methods("private/cancel", "private/get_order_state")[-1] == "private/get_order_state"


def test_a_cancel_whose_answer_is_lost_is_looked_up(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb("private/cancel", answer_lost())
    assert only_leg(execute(desk, opening())).status == "not_filled"


def test_an_order_whose_end_cannot_be_found_out_is_unknown(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb("private/cancel", lost_on_the_way())
    desk.wire.disturb("private/get_order_state", *[lost_on_the_way()] * 3)
    result = execute(desk, opening())
    assert (result.status, only_leg(result).status) == ("unknown", "unknown")
    assert "its outcome is not known" in only_leg(result).note


def test_an_order_in_a_state_nobody_knows_is_live_until_it_is_cancelled(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.0205, ask=0.0205)
    bumped = {"order_state": "speed_bumped", "filled_amount": 0.0}
    desk.wire.disturb(SELL, reply_changed(lambda reply: reply["result"]["order"].update(bumped)))
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, leg.filled_coin) == ("filled", 1.0)
    assert "private/cancel" in desk.wire.methods()


def test_fees_that_cannot_be_read_do_not_spoil_the_result(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path)
    desk.wire.disturb("private/get_user_trades_by_order", refused(13021, "forbidden"))
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, leg.filled_coin, leg.fee_coin) == ("filled", 1.0, None)


# --- how orders end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bid", "bid_amount", "filled"), [(0.0195, None, 1.0), (0.0195, 0.3, 0.3), (0.01, None, 0.0)])
def test_the_end_of_every_worked_order_is_in_the_log_with_what_was_filled(
    tmp_path: Path, bid: float, bid_amount: float | None, filled: float
) -> None:
    desk = wide_desk(tmp_path, bid=bid, ask=0.0205, mark=0.02, bid_amount=bid_amount)
    leg = only_leg(execute(desk, opening()))
    assert ends_of(desk) == [(leg.label, filled)]
    assert desk.order_log.unresolved() == desk.order_log.unclosed() == ()
    assert (desk.order_log.busy_symbols(desk.clock.now()) == (CALL,)) is (filled > 0.0)


def test_a_refused_order_has_no_end_of_its_own(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, refused(10009, "not_enough_funds"))
    leg = only_leg(execute(desk, opening()))
    assert (leg.refusal_code, ends_of(desk)) == (10009, [])
    assert desk.order_log.busy_symbols(desk.clock.now()) == ()


def test_an_order_whose_end_is_not_known_stays_open_in_the_log_until_it_is(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb("private/cancel", lost_on_the_way())
    desk.wire.disturb("private/get_order_state", *[lost_on_the_way()] * 3)
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, ends_of(desk), len(desk.order_log.unclosed())) == ("unknown", [], 1)
    assert ended_orders(desk.client, desk.order_log) == [CALL]
    assert (ends_of(desk), desk.account.open_orders()) == ([(leg.label, 0.0)], [])


def test_an_order_whose_label_cannot_be_asked_for_stays_open_in_the_log(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path)
    desk.wire.disturb("private/get_order_state_by_label", *[lost_on_the_way()] * 3)
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, ends_of(desk), len(desk.order_log.unclosed())) == ("filled", [], 1)
    assert ended_orders(desk.client, desk.order_log) == [CALL]
    assert ends_of(desk) == [(leg.label, 1.0)]


# --- a request that arrives twice ------------------------------------------------------------------------------


def test_a_second_order_under_one_label_is_taken_back_and_reported(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.01, ask=0.03, mark=0.02)
    desk.wire.disturb(SELL, delivered_twice)
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, leg.is_duplicated) == ("unknown", True)
    assert "two orders carry one label" in leg.note
    assert desk.account.open_orders() == []


def test_a_second_order_that_traded_at_once_is_reported_too(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path, bid=0.0205, ask=0.0205)
    desk.wire.disturb(SELL, delivered_twice)
    leg = only_leg(execute(desk, opening()))
    assert (leg.is_duplicated, desk.account.state.size_of(CALL)) == (True, -2.0)
    assert ends_of(desk) == []


def test_a_roll_whose_buy_back_was_doubled_sells_nothing(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)
    desk.wire.disturb(BUY, delivered_twice)
    result = execute(desk, rolling())
    assert (result.status, only_leg(result).is_duplicated) == ("unknown", True)
    assert desk.wire.methods(SELL) == []


def test_a_roll_whose_buy_back_may_have_been_doubled_sells_nothing_while_the_copy_rests(tmp_path: Path) -> None:
    desk = short_desk(tmp_path)

    def doubled_below_the_market(request: httpx.Request, answer: Answer) -> httpx.Response:
        first = answer()
        first.read()
        label = json.loads(request.read())["params"]["label"]
        place(desk.account, "buy", 1.0, 0.001, label=label)
        return first

    desk.wire.disturb(BUY, doubled_below_the_market)
    desk.wire.disturb("private/get_order_state_by_label", *[lost_on_the_way()] * 3)
    result = execute(desk, rolling())
    assert [leg.status for leg in result.legs] == ["filled", "not_sent"]
    assert "one of our orders is still open" in result.note
    assert desk.wire.methods(SELL) == []


def test_a_lost_order_that_arrived_twice_is_taken_back_twice_and_reported(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)

    def twice_and_lost(request: httpx.Request, answer: Answer) -> httpx.Response:
        delivered_twice(request, answer)
        raise httpx.ReadTimeout("made up", request=request)

    desk.wire.disturb(SELL, twice_and_lost)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    desk.clock.sleep(16.0)
    note_duplicates(desk.client, desk.client.get_open_orders())
    assert desk.order_log.duplicates_noted == 1
    assert ended_orders(desk.client, desk.order_log) == [CALL]
    assert (desk.order_log.duplicates_noted, desk.account.open_orders()) == (2, [])
    assert [line["event"] for line in desk.order_lines()][2:] == ["duplicated", "duplicated", "outcome", "closed"]


@pytest.mark.parametrize(
    ("orders", "is_duplicated"),
    [
        ((), False),
        ((an_order(),), False),
        ((an_order(), an_order(order_id="2")), True),
        ((an_order(), an_order(order_id="2", label="cc-another")), False),
        ((an_order(), an_order(order_id="2", order_state="cancelled")), False),
        ((an_order(label=""), an_order(order_id="2", label="")), False),
    ],
)
def test_two_live_orders_of_ours_under_one_label_are_duplicates_and_written_down(
    tmp_path: Path, orders: tuple[Order, ...], is_duplicated: bool
) -> None:
    desk = scripted_desk(tmp_path)
    note_duplicates(desk.client, orders)
    assert desk.order_log.duplicates_noted == is_duplicated
    assert (desk.order_log.halted_at is not None) is is_duplicated


# --- after a crash ---------------------------------------------------------------------------------------------


class CrashError(BaseException):
    """The process is gone."""


def crash(request: httpx.Request, answer: Answer) -> httpx.Response:
    answer().read()
    raise CrashError


@pytest.mark.parametrize(
    ("method", "filled"),
    [
        (SELL, 0.0),
        ("private/edit", 0.0),
        ("private/cancel", 0.0),
        ("private/get_order_state_by_label", 1.0),
        ("private/get_user_trades_by_order", 1.0),
    ],
)
def test_an_order_left_over_by_a_crash_is_taken_back_or_counted_by_the_next_process(
    tmp_path: Path, method: str, filled: float
) -> None:
    is_filling = filled > 0.0
    desk = wide_desk(tmp_path, bid=0.0205 if is_filling else 0.01, ask=0.0205 if is_filling else 0.03, mark=0.0205)
    desk.wire.disturb(method, crash)
    with pytest.raises(CrashError):
        execute(desk, opening())
    desk.clock.sleep(20.0)
    log = order_log_of_the_next_process(desk)
    recover_orders(desk.client, log)
    assert [end[1] for end in ends_of(desk)] == [filled]
    assert (log.unresolved(), log.unclosed(), desk.account.open_orders()) == ((), (), [])
    assert (log.busy_symbols(desk.clock.now()) == (CALL,)) is is_filling
    assert desk.wire.methods(SELL) == [SELL]


# --- the end of a run --------------------------------------------------------------------------------------------


def test_a_run_that_has_left_nothing_behind_asks_nothing_at_its_end(tmp_path: Path) -> None:
    desk = wide_desk(tmp_path)
    execute(desk, opening())
    before = len(desk.wire.sent)
    cancel_leftovers(desk.client, desk.order_log)
    assert len(desk.wire.sent) == before


# --- the same lines everywhere ----------------------------------------------------------------------------------


def test_a_dry_run_works_an_order_exactly_as_the_exchange_would(tmp_path: Path) -> None:
    at_the_exchange = execute(wide_desk(tmp_path / "exchange"), opening(), a_state())
    testnet = market_with(CALL, 0.02, 0.0225, mark=0.0212)
    setup = dry_run_setup(tmp_path / "paper.json", {"BTC": 10.0}, testnet.clock, PaperTransport(exchange_on(testnet)))
    config = a_config()
    client = a_client_on(setup, config)
    client.get_instruments("BTC")
    client.get_index_price("BTC")
    assert execute_action(client, opening(), config, a_state()) == at_the_exchange


def test_on_the_simulated_market_the_result_is_what_the_exchanges_own_ledger_says(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    state = build_agent_state(desk.client, desk.config)
    leg = only_leg(execute(desk, decide_action(state, desk.config), state))
    trades = desk.account.state.trades
    assert leg.filled_coin == sum(trade.amount for trade in trades) > 0.0
    assert leg.fee_coin == pytest.approx(sum(trade.fee_coin for trade in trades))
    assert leg.avg_price_coin == pytest.approx(
        sum(trade.price_coin * trade.amount for trade in trades) / leg.filled_coin
    )
    assert {trade.label for trade in trades} == {leg.label}


def test_without_a_state_a_decision_gets_an_id_of_its_own_and_is_measured_against_the_mid_of_the_call(
    tmp_path: Path,
) -> None:
    leg = only_leg(execute(scripted_desk(tmp_path), opening()))
    assert leg.label.startswith("cc-260105120000-")
    assert leg.slippage_coin == pytest.approx(0.02 - 0.0205)
