"""The ledger as the log tells it: no fill is missing, also at the very end; a value that is not known is null."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_loop import run_iteration
from cli.endings import end_run
from core.exposure import portfolio_value_usd
from deribit.vocabulary import ms_from_utc
from logging_utils import read_ledger
from models import AgentState, WrongEnvironmentError
from orders.ledger_reader import LedgerReader
from tests.builders.agent import (
    ScriptedDesk,
    agent_at,
    always_sell,
    an_order_request,
    decision_lines,
    run_for,
    scripted_desk,
    simulated_agent,
    simulated_desk,
)
from tests.builders.paper import CALL, START
from tests.builders.states import a_state
from tests.builders.wire import Answer, Fault, answered, envelope, lost_on_the_way, reply_changed

LEDGER = "private/get_transaction_log"
ACCOUNTS = "private/get_account_summaries"


def traded_coin(folder: Path) -> float:
    ledger = read_ledger(folder / "logs")
    return float(ledger[ledger["entry_type"] == "trade"]["amount_coin"].sum())


# --- value after ----------------------------------------------------------------------------------


def test_the_value_after_a_trade_is_what_the_account_is_worth(tmp_path: Path) -> None:
    agent = simulated_agent(tmp_path, always_sell)
    (line,) = run_for(agent, 1)
    accounts = agent.client.get_account_summaries()
    spots = {"BTC": line.spot_btc or 0.0, "ETH": line.spot_eth or 0.0}
    assert line.executed_status == "filled"
    assert line.portfolio_value_usd_after != line.portfolio_value_usd_before
    worth = portfolio_value_usd({one.currency: one.equity_coin for one in accounts}, spots)
    assert line.portfolio_value_usd_after == pytest.approx(worth, rel=1e-4)


def test_the_value_after_a_trade_that_cannot_be_read_is_null_and_said(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb(ACCOUNTS, lambda _, answer: answer(), *[lost_on_the_way()] * 3)
    (line,) = run_for(agent_at(desk, always_sell), 1)
    assert (line.executed_status, line.portfolio_value_usd_after) == ("filled", None)
    assert line.portfolio_value_usd_before is not None
    assert "after the trade" in (line.error or "")
    assert len(line.ledger) == 1


def test_an_answer_that_ends_the_run_after_the_ledger_was_read_loses_none_of_its_entries(tmp_path: Path) -> None:
    def redirect(request: httpx.Request, _: Answer) -> httpx.Response:
        return httpx.Response(302, headers={"location": "https://elsewhere.example/"})

    desk = simulated_desk(tmp_path)
    desk.wire.disturb(ACCOUNTS, lambda _, answer: answer(), redirect)
    with suppress(WrongEnvironmentError):
        run_for(agent_at(desk, always_sell), 1)
    (line,) = decision_lines(tmp_path)
    assert "redirect" in line["error"]
    assert traded_coin(tmp_path) == pytest.approx(0.1)


def test_a_first_iteration_that_failed_after_a_fill_leaves_the_ledger_to_be_read_from_before_it(
    tmp_path: Path,
) -> None:
    def redirect(request: httpx.Request, _: Answer) -> httpx.Response:
        return httpx.Response(302, headers={"location": "https://elsewhere.example/"})

    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/get_user_trades_by_order", redirect)
    run_iteration(agent_at(desk, always_sell))
    (line,) = decision_lines(tmp_path)
    assert ("redirect" in line["error"], line["ledger"]) == (True, [])
    assert line["ledger_read_until"] < line["timestamp"]


def test_an_account_that_still_shows_the_balance_before_the_trade_is_not_its_value_after(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    shown: list[httpx.Response] = []

    def keep(_: httpx.Request, answer: Answer) -> httpx.Response:
        response = answer()
        response.read()
        shown.append(response)
        return httpx.Response(200, content=response.content)

    def late(request: httpx.Request, _: Answer) -> httpx.Response:
        result = json.loads(shown[0].content)["result"]
        return httpx.Response(200, json=envelope(request, result=result))

    desk.wire.disturb(ACCOUNTS, keep, late)
    (line,) = run_for(agent_at(desk, always_sell), 1)
    assert (line.executed_status, line.portfolio_value_usd_after) == ("filled", None)


def test_without_a_trade_the_value_stays(tmp_path: Path) -> None:
    _, line = run_for(simulated_agent(tmp_path, seldom_sell), 2)
    assert line.executed_status == "none"
    assert line.portfolio_value_usd_after == line.portfolio_value_usd_before is not None


# --- fills ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [answered(502, b""), lost_on_the_way()])
def test_a_fill_that_the_last_line_could_not_tell_has_a_line_of_its_own_at_the_end(
    tmp_path: Path, fault: Fault
) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb(LEDGER, *[fault] * 3)
    agent = agent_at(desk, always_sell)
    (line,) = run_for(agent, 1)
    assert (line.executed_status, line.ledger) == ("filled", ())
    end_run(agent)
    assert [len(one["ledger"]) for one in decision_lines(tmp_path)] == [0, 1]
    assert traded_coin(tmp_path) == pytest.approx(0.1)


def test_a_run_whose_ledger_is_told_ends_without_another_line(tmp_path: Path) -> None:
    agent = simulated_agent(tmp_path, always_sell)
    run_for(agent, 1)
    end_run(agent)
    assert [len(one["ledger"]) for one in decision_lines(tmp_path)] == [1]


def test_a_fill_that_is_booked_late_is_told_later_and_once(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb(LEDGER, empty_ledger)
    first, second, third = run_for(agent_at(desk, seldom_sell), 3)
    assert (first.executed_status, first.ledger) == ("filled", ())
    assert [len(second.ledger), len(third.ledger)] == [1, 0]
    assert traded_coin(tmp_path) == pytest.approx(0.1)


def seldom_sell(state: AgentState, config: Any) -> Any:
    action = always_sell(state, config)
    return action if not state.short_calls("BTC") else action.model_copy(update={"type": "DO_NOTHING"})


def empty_ledger(request: httpx.Request, _: Answer) -> httpx.Response:
    return httpx.Response(200, json=envelope(request, result={"logs": [], "continuation": None}))


def _spoilt(spoil: Callable[[dict[str, Any]], object]) -> Fault:
    """The ledger's reply with something wrong in it."""

    def change(reply: dict[str, Any]) -> None:
        spoil(reply["result"])

    return reply_changed(change)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda result: result.pop("continuation"), id="whether_there_is_more"),
        pytest.param(lambda result: result.pop("logs"), id="the_lines"),
        pytest.param(lambda result: result["logs"][0].pop("instrument_name"), id="what_was_settled"),
        pytest.param(lambda result: result["logs"][0].pop("change"), id="what_it_paid"),
        pytest.param(lambda result: result["logs"].append("a line"), id="a_line_that_is_none"),
    ],
)
def test_a_settlement_that_could_not_be_read_is_asked_for_again_and_told_once(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request())
    desk.market.deliver(CALL, 100_000.0)
    desk.market.sleep_until_expiry(CALL, 60.0)
    reader = LedgerReader(desk.client, ("BTC",), START)
    desk.wire.disturb(LEDGER, *[_spoilt(spoil)] * 3)
    failed, whole, after = (reader.read_new_entries(a_state(timestamp=desk.clock.now()), None) for _ in range(3))
    assert (failed.entries, "while the ledger was read" in (failed.error or "")) == ((), True)
    assert [entry.entry_type for entry in whole.entries] == ["trade", "delivery"]
    assert after.entries == ()


# --- long ledgers ---------------------------------------------------------------------------------


def long_ledger(count: int) -> Fault:
    """A ledger with a deposit in every one of the `count` seconds before START, 250 entries a page, newest first."""

    def answer(request: httpx.Request, _: Answer) -> httpx.Response:
        params = json.loads(request.read())["params"]
        newest = min(params["end_timestamp"], params.get("continuation") or params["end_timestamp"])
        oldest = max(params["start_timestamp"], ms_from_utc(START) - count * 1000)
        times = [at for at in range(ms_from_utc(START) - 1000, oldest - 1, -1000) if at <= newest]
        rows = [{"type": "deposit", "timestamp": at, "change": 0.001, "balance": at / 1e12} for at in times[:250]]
        more = times[250] if len(times) > 250 and params["currency"] == "BTC" else None
        shown = rows if params["currency"] == "BTC" else []
        return httpx.Response(200, json=envelope(request, result={"logs": shown, "continuation": more}))

    return answer


def reader_of(desk: ScriptedDesk, count: int) -> LedgerReader:
    desk.wire.disturb(LEDGER, *[long_ledger(count)] * 5000)
    return LedgerReader(desk.client, ("BTC", "ETH"), START - timedelta(seconds=count))


@pytest.mark.parametrize(("count", "readings"), [(2499, 1), (2501, 4), (40_000, 36)])
def test_a_ledger_of_more_than_ten_pages_is_read_part_by_part(tmp_path: Path, count: int, readings: int) -> None:
    desk = scripted_desk(tmp_path)
    reader, told, made = reader_of(desk, count), 0, 0
    while reader.is_due and made < 100:
        desk.client.begin_iteration()
        reading = reader.read_new_entries(a_state(timestamp=START), None)
        assert reading.error is None
        told, made = told + len(reading.entries), made + 1
    assert told == count
    assert made <= readings


def test_the_end_of_a_run_reads_as_much_as_it_may(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    reader = reader_of(desk, 6000)
    desk.client.begin_iteration()
    assert 0 < len(reader.read_rest().entries) <= 6000


def test_the_end_of_a_run_gives_up_once_its_requests_are_used_up(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    reader = reader_of(desk, 100_000)
    desk.client.begin_iteration()
    reader.read_rest()
    assert reader.is_due


def test_the_end_of_a_run_gives_up_after_a_minute_of_slow_answers(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)

    def slowly(request: httpx.Request, answer: Answer) -> httpx.Response:
        desk.clock.sleep(9.0)
        return long_ledger(100_000)(request, answer)

    desk.wire.disturb(LEDGER, *[slowly] * 5000)
    reader = LedgerReader(desk.client, ("BTC", "ETH"), START - timedelta(seconds=100_000))
    desk.client.begin_iteration()
    began_seconds = desk.clock.monotonic()
    reader.read_rest()
    assert reader.is_due
    assert desk.clock.monotonic() - began_seconds < 300.0


# --- a replica that is behind ---------------------------------------------------------------------


@pytest.mark.parametrize(("seconds_before", "told"), [(20, 1), (59, 1), (90, 0)])
def test_an_entry_that_a_replica_shows_late_is_told_by_the_next_reading(
    tmp_path: Path, seconds_before: int, told: int
) -> None:
    at = ms_from_utc(START) - seconds_before * 1000

    def shows_it(request: httpx.Request, _: Answer) -> httpx.Response:
        start_ms = json.loads(request.read())["params"]["start_timestamp"]
        row = {"type": "deposit", "timestamp": at, "change": 0.001, "balance": 1.0}
        page = {"logs": [row] if at >= start_ms else [], "continuation": None}
        return httpx.Response(200, json=envelope(request, result=page))

    desk = scripted_desk(tmp_path)
    reader = LedgerReader(desk.client, ("BTC",), START - timedelta(hours=1))
    desk.wire.disturb(LEDGER, empty_ledger, shows_it, shows_it)
    readings = []
    for _ in range(3):
        reader.expect_entries()
        readings.append(len(reader.read_new_entries(a_state(timestamp=START), None).entries))
    assert readings == [0, told, 0]
