"""AGENT_FILLS=touch, for research runs: a sale trades at the bid, a buy-back at the ask, at once or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent_loop import run_iteration
from execution import execute_action
from models import ExecutionResult, LegResult, ProposedAction
from orders.order_planning import touch_price
from tests.builders.agent import (
    NEXT_CALL,
    ScriptedDesk,
    closing,
    decision_lines,
    opening,
    rolling,
    run_main,
    scripted_desk,
    simulated_agent,
    simulated_run,
)
from tests.builders.configs import a_config
from tests.builders.paper import CALL, START, market_with, place

TOUCH = {"fills": "touch"}


def touching_desk(folder: Path, bid: float | None = 0.02, ask: float | None = 0.0225, **more: Any) -> ScriptedDesk:
    """A desk whose orders fill at the touch; the sides of CALL's book are five ticks apart."""
    return scripted_desk(folder, market_with(CALL, bid, ask, **{"mark": 0.0212, **more}), run=TOUCH)


def execute(desk: ScriptedDesk, action: ProposedAction) -> ExecutionResult:
    return execute_action(desk.client, action, desk.config)


def only_leg(result: ExecutionResult) -> LegResult:
    (leg,) = result.legs
    return leg


def test_a_sale_trades_at_the_bid_with_one_price_and_without_waiting(tmp_path: Path) -> None:
    desk = touching_desk(tmp_path)
    leg = only_leg(execute(desk, opening()))
    assert leg.prices_tried_coin == (0.02,)
    assert (leg.status, leg.filled_coin, leg.avg_price_coin) == ("filled", 1.0, 0.02)
    assert desk.clock.now() == START


def test_a_buy_back_trades_at_the_ask(tmp_path: Path) -> None:
    desk = touching_desk(tmp_path)
    place(desk.account, "sell", 1.0, 0.02)
    leg = only_leg(execute(desk, closing()))
    assert (leg.prices_tried_coin, leg.avg_price_coin) == ((0.0225,), 0.0225)


def test_a_roll_buys_at_the_ask_and_sells_at_the_bid(tmp_path: Path) -> None:
    desk = touching_desk(tmp_path)
    place(desk.account, "sell", 1.0, 0.02)
    desk.market.show(NEXT_CALL, 0.03, 0.031, mark=0.0305)
    result = execute(desk, rolling())
    assert (result.status, [leg.avg_price_coin for leg in result.legs]) == ("filled", [0.0225, 0.03])


def test_no_more_trades_than_the_book_shows_and_the_rest_is_cancelled(tmp_path: Path) -> None:
    desk = touching_desk(tmp_path, bid_amount=0.3)
    leg = only_leg(execute(desk, opening()))
    assert (leg.status, leg.filled_coin) == ("partly_filled", 0.3)
    assert desk.account.open_orders() == []
    assert desk.clock.now() == START


def test_a_sale_that_nobody_bids_for_does_not_trade_and_does_not_rest(tmp_path: Path) -> None:
    desk = touching_desk(tmp_path, bid=None)
    assert only_leg(execute(desk, opening())).status == "not_filled"
    assert desk.account.open_orders() == []


@pytest.mark.parametrize(("bid", "price"), [(0.015, 0.015), (0.0155, 0.0155), (0.014, 0.015)])
def test_a_sale_never_goes_further_below_the_mark_than_the_collar(tmp_path: Path, bid: float, price: float) -> None:
    desk = touching_desk(tmp_path, bid=bid, ask=0.025, mark=0.02)  # the collar is a quarter of the mark
    leg = only_leg(execute(desk, opening()))
    assert leg.prices_tried_coin == (price,)
    assert leg.status == ("filled" if bid >= 0.015 else "not_filled")


@pytest.mark.parametrize(("ask", "price"), [(0.0245, 0.0245), (0.025, 0.025), (0.026, 0.025)])
def test_a_buy_back_never_goes_further_above_the_mark_than_the_collar(tmp_path: Path, ask: float, price: float) -> None:
    desk = touching_desk(tmp_path, bid=0.015, ask=ask, mark=0.02)
    ticker, option = desk.client.get_ticker(CALL), desk.client.get_instrument(CALL)
    assert option is not None
    assert touch_price("buy", ticker, option, a_config()) == price


@pytest.mark.parametrize(("fills", "takes_time"), [("ladder", True), ("touch", False)])
def test_orders_take_market_time_on_the_ladder_alone(tmp_path: Path, fills: str, takes_time: bool) -> None:
    agent = simulated_agent(tmp_path, run={"fills": fills})
    record = run_iteration(agent)
    assert record.executed_status == "filled"
    assert (agent.clock.now() > record.timestamp) is takes_time


def test_a_simulated_run_takes_the_setting_and_a_run_on_testnet_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_FILLS", "touch")
    assert simulated_run(tmp_path, "--once").code == 0
    assert [line["fills"] for line in decision_lines(tmp_path)] == ["touch"]
    for arguments in ((), ("--dry-run",)):
        refused = run_main("--once", *arguments)
        assert refused.code == 2
        assert "AGENT_FILLS=touch is for research" in refused.err
