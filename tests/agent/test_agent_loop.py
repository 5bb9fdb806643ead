"""The whole agent: command line, one iteration after the other, its ledger, its files and how it ends."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import pytest

import agent_loop
from cli.assembly import assemble_agent
from cli.locks import Lock, account_file, take_account_lock, take_lock
from cli.setup import build_agent
from cli.signals import stop_on_signals
from config import PROJECT_FOLDER, AgentConfig
from deribit.clocks import SystemClock
from logging_utils import IterationRecord, read_decisions, read_ledger
from models import (
    AgentState,
    AlreadyRunningError,
    ConfigurationError,
    ProposedAction,
    SendOutcome,
    WrongEnvironmentError,
)
from orders.last_order import Mark, read_mark, write_mark
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.market.expiries import MarketSize
from paper_exchange.server import PaperServer
from paper_exchange.setups import SIMULATION_START
from paper_exchange.simulated.market import SimulatedMarket
from tests.builders.agent import (
    Desk,
    ScriptedDesk,
    agent_at,
    always_sell,
    an_order_request,
    copy_of_the_project,
    decision_lines,
    desk_on,
    folders,
    in_one_line,
    next_process,
    opening,
    options,
    own_signal_handlers,
    run_for,
    run_main,
    scripted_desk,
    simulated_agent,
    simulated_desk,
    simulated_run,
)
from tests.builders.configs import agent_config
from tests.builders.paper import CALL, NEAR_CALL, ScriptedMarket, place
from tests.builders.wire import answer_lost, lost_on_the_way, meanwhile, refused, reply_changed

START_COINS = {"BTC": 1.0, "ETH": 10.0}


# --- a month: the books balance --------------------------------------------------------------------


@dataclass(frozen=True)
class Month:
    """What is left of a month in which BTC calls were held to their end and ETH calls were rolled."""

    desk: Desk
    records: list[IterationRecord]
    logs: str


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    folder = tmp_path_factory.mktemp("month")
    market = SimulatedMarket(2, SimulatedClock(SIMULATION_START), size=MarketSize(expiries_max=6, strikes_per_side=5))
    exchange = PaperExchange(market, PaperAccount(market, START_COINS))
    often = {"dte_min": 0.5, "delta_min": 0.15, "delta_max": 0.48, "premium_min_usd": 1.0, "ivrv_min": 0.0}
    config = agent_config(
        folder, run={"interval_seconds": 28_800.0}, btc={**often, "roll_dte_days": 0.0}, eth={**often}
    )
    desk = desk_on(exchange, config)
    return Month(desk, run_for(agent_at(desk), 60), f"{folder}/logs/decisions-*.jsonl")


def test_every_iteration_of_a_month_went_well_and_has_its_line(month: Month) -> None:
    frame = read_decisions(month.logs)
    assert list(frame["iteration"]) == list(range(1, 61))
    assert frame["error"].isna().all()


def test_in_a_month_calls_are_opened_rolled_and_settled_in_and_out_of_the_money(month: Month) -> None:
    actions = {record.action_type for record in month.records}
    ledger = read_ledger(month.logs)
    settled = ledger[ledger["entry_type"] == "delivery"]["change_coin"]
    assert {"OPEN_COVERED_CALL", "ROLL_COVERED_CALL", "DO_NOTHING"} <= actions
    assert (settled == 0.0).any()
    assert (settled < 0.0).any()


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_what_the_account_began_with_and_all_changes_add_up_to_what_it_has(month: Month, coin: str) -> None:
    ledger = read_ledger(month.logs)
    changes = ledger[ledger["currency"] == coin]["change_coin"]
    assert len(changes) > 20
    assert START_COINS[coin] + changes.sum() == pytest.approx(month.desk.account.state.balances_coin[coin], abs=1e-9)


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_each_entry_leads_from_one_balance_to_the_next(month: Month, coin: str) -> None:
    ledger = read_ledger(month.logs)
    entries = ledger[ledger["currency"] == coin]
    before = [START_COINS[coin], *entries["balance_coin"][:-1]]
    assert list(entries["balance_coin"]) == pytest.approx(
        [balance + change for balance, change in zip(before, entries["change_coin"], strict=True)], abs=1e-9
    )


def test_every_fill_of_every_leg_is_in_the_ledger_with_its_fee(month: Month) -> None:
    ledger = read_ledger(month.logs)
    trades = ledger[ledger["entry_type"] == "trade"]
    legs = [leg for record in month.records for leg in record.executed_action.legs]
    assert trades["amount_coin"].sum() == pytest.approx(sum(leg.filled_coin for leg in legs))
    assert trades["fee_coin"].sum() == pytest.approx(sum(leg.fee_coin for leg in legs))


def test_equity_is_the_balance_and_the_value_of_the_options_at_every_iteration(month: Month) -> None:
    for record in month.records:
        assert record.agent_state is not None
        for account in record.agent_state.portfolio.accounts:
            held = [p for p in record.agent_state.portfolio.positions if p.underlying == account.currency]
            value = sum(p.mark_price_coin * (p.size if p.side == "long" else -p.size) for p in held)
            assert account.equity_coin == pytest.approx(account.balance_coin + value, abs=1e-9)


def test_calls_sold_never_exceed_the_coins_held_in_a_month(month: Month) -> None:
    for record in month.records:
        assert record.agent_state is not None
        for risk in record.agent_state.risks:
            assert risk.short_calls_coin + risk.resting_sells_coin <= risk.coins_held


def test_what_is_sold_is_in_the_state_of_the_next_iteration(month: Month) -> None:
    for record, following in zip(month.records, month.records[1:], strict=False):
        sold = [leg for leg in record.executed_action.legs if leg.direction == "sell" and leg.filled_coin > 0.0]
        for leg in sold:
            assert following.agent_state is not None
            assert following.agent_state.position(leg.symbol) is not None


def test_a_delivery_whose_price_comes_late_is_in_the_ledger_too(tmp_path: Path) -> None:
    market = ScriptedMarket(datetime.fromisoformat("2026-01-06T07:30:00+00:00"))
    market.show(NEAR_CALL, 0.02, 0.021)
    desk = scripted_desk(tmp_path, market)
    place(desk.account, "sell", 1.0, 0.02, NEAR_CALL)
    agent = agent_at(desk)
    run_for(agent, 8)
    market.deliver(NEAR_CALL, 100_000.0)
    run_for(agent, 3)
    ledger = read_ledger(tmp_path / "logs" / "decisions-*.jsonl")
    assert list(ledger["entry_type"]) == ["trade", "delivery"]
    assert 10.0 + ledger["change_coin"].sum() == pytest.approx(desk.account.state.balances_coin["BTC"], abs=1e-9)


# --- one iteration --------------------------------------------------------------------------------------


def test_our_own_order_left_behind_is_taken_back_and_the_state_read_again_before_anything_is_decided(
    tmp_path: Path,
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    place(desk.account, "sell", 0.3, 0.04)
    assert len(desk.account.open_orders()) == 2
    (record,) = run_for(agent_at(desk), 1)
    assert record.agent_state is not None
    assert [order.label for order in record.agent_state.portfolio.open_orders] == [""]
    assert [order.label for order in desk.account.open_orders()] == [""]


def test_an_order_whose_answer_was_lost_is_found_again_and_counted_once(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/sell", answer_lost())
    first, second = run_for(agent_at(desk), 2)
    assert first.executed_status == "unknown"
    assert [line.get("outcome") for line in desk.order_lines()][:3] == [None, "unknown", "resolved_present"]
    assert second.agent_state is not None
    assert second.agent_state.unresolved_symbols == ()
    assert desk.wire.params("private/sell")[0]["label"] not in [
        p["label"] for p in desk.wire.params("private/sell")[1:]
    ]


def test_while_the_fate_of_an_order_is_not_known_no_other_is_sent(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/sell", answer_lost())
    agent = agent_at(desk, always_sell)
    agent_loop.run_iteration(agent)
    again = agent_loop.run_iteration(agent)
    assert (again.allowed, again.executed_status) == (False, "none")
    assert any("may still be open" in reason.text for reason in again.risk_engine_result.reasons)
    assert desk.wire.methods("private/sell") == ["private/sell"]


@pytest.mark.parametrize(
    "method", ["private/get_open_orders", "private/get_positions", "private/get_account_summaries"]
)
def test_a_failed_query_of_the_account_never_looks_like_an_empty_account(tmp_path: Path, method: str) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb(method, *[lost_on_the_way()] * 3)
    failed, well = run_for(agent_at(desk), 2)
    assert (failed.action_type, failed.agent_state, failed.executed_status) == ("DO_NOTHING", None, "none")
    assert "DeribitConnectionError" in (failed.error or "")
    assert (well.error, well.iteration) == (None, 2)
    assert [line["iteration"] for line in decision_lines(tmp_path)] == [1, 2]


def test_an_account_that_cannot_be_read_after_a_trade_does_not_hide_the_trade(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/get_transaction_log", refused(13021, "forbidden"))
    first, second, *_ = run_for(agent_at(desk), 2)
    assert (first.executed_status, "while the ledger was read" in (first.error or "")) == ("filled", True)
    assert len(second.ledger) >= 1
    assert second.ledger[0].symbol == first.symbol


def test_another_environment_ends_the_run_after_its_line_was_written(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/get_positions", reply_changed(lambda reply: reply.update(testnet=False)))
    with pytest.raises(WrongEnvironmentError) as caught:
        agent_loop.run_loop(agent_at(desk), options("--once"))
    assert caught.value.exit_code == 5
    assert "WrongEnvironmentError" in decision_lines(tmp_path)[0]["error"]


def test_requests_are_counted_in_the_line(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk)
    run_for(agent, 3)
    before = len(desk.wire.sent)
    record = agent_loop.run_iteration(agent)
    assert record.request_count == len(desk.wire.sent) - before <= 8
    assert sum(call.attempts for call in record.api_responses or ()) == record.request_count


def test_nothing_a_policy_does_to_its_settings_reaches_the_agent(tmp_path: Path) -> None:
    def rewrites(_state: AgentState, settings: AgentConfig) -> ProposedAction:
        settings.btc.__dict__["max_order_size"] = 1e6
        settings.risk.__dict__["kill_file"] = tmp_path / "nowhere"
        return opening("BTC-31FEB27-1-C")

    agent = simulated_agent(tmp_path, rewrites)
    before = agent.config.model_dump_json()
    run_for(agent, 2)
    assert agent.config.model_dump_json() == before


def test_a_key_that_a_policy_has_found_by_itself_and_raises_is_in_no_line(tmp_path: Path) -> None:
    def raises(_state: AgentState, _config: AgentConfig) -> ProposedAction:
        raise ValueError("read from .env: made-up-secret-9937")

    key = {"client_id": "made-up-id-5521", "client_secret": "made-up-secret-9937"}
    run_for(simulated_agent(tmp_path, raises, deribit=key), 1)
    assert "made-up-secret-9937" not in f"{decision_lines(tmp_path)}"


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_half_a_surrogate_pair_raised_by_a_policy_is_logged_and_the_loop_goes_on(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    def raises(_state: AgentState, _config: AgentConfig) -> ProposedAction:
        raise kind("half \ud800")

    agent = simulated_agent(tmp_path, raises)
    assert agent_loop.run_loop(agent, options("--iterations", "2")) == 1
    assert [kind.__name__ in line["error"] for line in decision_lines(tmp_path)] == [True, True]
    assert not agent.recorder.unwritten


# --- what the agent does not believe, and what it remembers ------------------------------------------------


def test_a_price_that_leaps_skips_one_iteration_and_is_then_believed(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    agent = agent_at(desk)
    run_for(agent, 1)
    desk.market.index_usd["BTC"] = 60_000.0
    skipped, believed = run_for(agent, 2)
    assert (skipped.agent_state, skipped.action_type) == (None, "DO_NOTHING")
    assert "BTC spot jumped" in (skipped.error or "")
    assert (believed.error, believed.spot_btc) == (None, 60_000.0)


@pytest.mark.parametrize(("seconds", "is_resting"), [(30.0, True), (59.0, True), (61.0, False)])
def test_a_coin_rests_a_minute_after_a_fill(tmp_path: Path, seconds: float, is_resting: bool) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk, always_sell)
    first = agent_loop.run_iteration(agent)
    assert first.executed_status == "filled"
    closed_at = datetime.fromisoformat(desk.order_lines()[-1]["at"])
    desk.clock.sleep(seconds - (desk.clock.now() - closed_at).total_seconds())
    again = agent_loop.run_iteration(agent)
    assert again.agent_state is not None
    assert (again.agent_state.unresolved_symbols != ()) is is_resting
    assert any(reason.rule == "intent_pending" for reason in again.risk_engine_result.reasons) is is_resting


@pytest.mark.parametrize("code", [10020, 13020])
def test_an_instrument_the_exchange_refuses_as_unknown_is_left_out_from_then_on(tmp_path: Path, code: int) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/sell", refused(code, "unknown_instrument"))
    first, second = run_for(agent_at(desk, always_sell), 2)
    assert (first.executed_status, second.executed_status) == ("rejected", "filled")
    assert first.symbol != second.symbol
    assert second.agent_state is not None
    assert second.agent_state.candidate(first.symbol) is None


def test_orders_of_the_day_are_counted_and_stop_at_their_limit(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path, risk={"max_orders_per_day": 2})
    records = run_for(agent_at(desk, always_sell), 3)
    assert [record.agent_state.orders_today for record in records if record.agent_state] == [0, 1, 2]
    assert [record.executed_status for record in records] == ["filled", "filled", "none"]
    assert any(reason.rule == "orders_per_day" for reason in records[-1].risk_engine_result.reasons)


def test_at_a_limit_of_the_day_the_policy_does_not_propose_what_would_be_blocked(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path, risk={"max_orders_per_day": 1})
    records = run_for(agent_at(desk), 3)
    assert [record.executed_status for record in records] == ["filled", "none", "none"]
    assert [record.action_type for record in records[1:]] == ["DO_NOTHING"] * 2
    last = records[-1].agent_state
    assert last is not None
    assert [reason.rule for reason in last.restrictions] == ["orders_per_day"]


# --- another process, the same account -------------------------------------------------------------------------


def test_a_restart_holds_its_first_reading_against_the_last_one_before_it(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    run_for(next_process(desk), 1)
    desk.market.index_usd["BTC"] = 60_000.0
    skipped, believed = run_for(next_process(desk), 2)
    assert ("jumped" in (skipped.error or ""), believed.error) == (True, None)


def test_a_restart_misses_a_call_that_was_there_before_it(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    place(desk.account, "sell", 1.0, 0.02)
    run_for(next_process(desk), 1)
    place(desk.account, "buy", 1.0, 0.021)
    skipped, believed = run_for(next_process(desk), 2)
    assert ("bought nothing back" in (skipped.error or ""), believed.error) == (True, None)


def test_an_order_whose_answer_was_lost_is_found_again_by_the_next_process(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    first = next_process(desk)
    desk.wire.disturb("private/sell", answer_lost())
    first.client.place_limit_order(an_order_request(price_coin=0.03))
    second = next_process(desk)
    waiting, found = run_for(second, 2)
    assert waiting.agent_state is not None
    assert CALL in waiting.agent_state.unresolved_symbols
    assert found.agent_state is not None
    assert found.agent_state.unresolved_symbols == ()
    assert (desk.account.open_orders(), second.order_log.unclosed()) == ([], ())


def _killed_with_an_order_in_flight(folder: Path) -> tuple[ScriptedDesk, Path]:
    """The exchange as it was left, and the mark of the account."""
    desk, mark = scripted_desk(folder), folder / "state" / "last_order"
    desk.wire.disturb("private/sell", lost_on_the_way(httpx.ReadTimeout))
    next_process(desk, mark).client.place_limit_order(an_order_request(price_coin=0.03))
    return desk, mark


@pytest.mark.parametrize("lost", ["nothing", "mark", "order log", "all logs", "log folder", "log and data folder"])
def test_a_restart_waits_for_an_order_in_flight_whatever_of_its_files_is_left(
    tmp_path: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    desk, mark = _killed_with_an_order_in_flight(tmp_path)
    logs = desk.config.run.log_dir
    if lost == "mark":  # an older version made none
        mark.unlink()
    for path in logs.glob({"order log": "orders-*", "all logs": "*"}.get(lost, "nothing")):
        path.unlink()
    if "folder" in lost:
        data = tmp_path / ("other" if "data" in lost else "") / "data"
        desk.config = agent_config(tmp_path, run={"log_dir": tmp_path / "other" / "logs", "data_dir": data})
    began_at = desk.clock.now()
    assert agent_loop.run_loop(next_process(desk, mark), options("--once")) == 0
    assert "waiting 60 s: an order of an earlier run may still be on its way" in capsys.readouterr().err
    (record,) = decision_lines(tmp_path / ("other" if "folder" in lost else ""))
    # A single empty look-up, so early, is not final: the coin goes on waiting.
    assert record["agent_state"]["unresolved_symbols"] == [CALL]
    assert (datetime.fromisoformat(record["timestamp"]) - began_at).total_seconds() >= 60.0


@pytest.mark.parametrize("has_logs", [True, False])
@pytest.mark.parametrize(("seconds", "left"), [(0.0, 60.0), (59.5, 0.5), (60.0, 0.0), (86_400.0, 0.0)])
def test_a_restart_waits_until_a_minute_after_the_last_order_and_no_longer(
    tmp_path: Path, has_logs: bool, seconds: float, left: float
) -> None:
    desk, mark = _killed_with_an_order_in_flight(tmp_path)
    for path in desk.config.run.log_dir.glob("nothing" if has_logs else "orders-*"):
        path.unlink()
    last = read_mark(mark, desk.clock.now())
    assert last is not None
    desk.clock.sleep(seconds - (desk.clock.now() - last.at).total_seconds())
    again = next_process(desk, mark).order_log
    assert again.lapse_left_seconds() == pytest.approx(left, abs=1e-6)
    assert again.waiting_underlyings() == (("BTC", "ETH") if left else ())


def test_an_order_whose_mark_cannot_be_written_is_not_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    (tmp_path / "state").write_text("a file where the folder of the mark should be")
    agent = next_process(desk, tmp_path / "state" / "last_order")
    receipt = agent.client.place_limit_order(an_order_request(price_coin=0.03))
    assert (receipt.outcome, desk.account.open_orders(), desk.order_lines()) == (SendOutcome.NOT_SENT, [], [])


@pytest.mark.parametrize(("key_id", "left"), [("the-same-id", 60.0), ("another-id", 0.0)])
def test_the_mark_belongs_to_the_account_and_lies_outside_the_folders_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_id: str, left: float
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    key = {"client_id": "the-same-id", "client_secret": "made-up-secret"}
    write_mark(account_file(agent_config(tmp_path / "first", deribit=key), "last_order"), Mark(at=SystemClock().now()))
    config = agent_config(tmp_path / "second", deribit={**key, "client_id": key_id})
    agent = build_agent(config, options("--once"))
    assert agent.order_log.lapse_left_seconds() == pytest.approx(left, abs=10.0)
    agent.client.close()


def test_nothing_is_waited_for_before_the_first_order_or_on_a_paper_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    agent_loop.run_loop(next_process(desk), options("--once"))
    paper = assemble_agent(desk.config, desk.wire, desk.clock, "dry_run", credentials=("paper-id", "paper-secret"))
    agent_loop.run_loop(paper, options("--once"))
    assert "waiting" not in capsys.readouterr().err
    assert paper.order_log.lapse_left_seconds() == 0.0


def test_a_stop_ends_the_wait_at_the_start(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    run_for(next_process(desk), 1)
    agent = next_process(desk)
    agent.stop_requested = True
    assert agent_loop.run_loop(agent, options()) == 0
    assert agent.recorder.iteration == 0


def test_an_order_of_unknown_fate_that_is_seen_among_the_open_ones_is_noted_as_present(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("private/sell", answer_lost())
    agent = next_process(desk)
    agent.client.place_limit_order(an_order_request(price_coin=0.03))
    run_for(agent, 1)
    assert [line["outcome"] for line in desk.order_lines()[1:]] == ["unknown", "resolved_present"]
    assert desk.account.open_orders() == []


def test_an_own_order_that_no_log_knows_makes_its_coin_wait_in_the_iteration_that_takes_it_back(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk_on(desk.exchange, agent_config(tmp_path / "elsewhere")).client.place_limit_order(
        an_order_request(price_coin=0.03)
    )
    records = run_for(next_process(desk), 2)
    assert [record.agent_state.unresolved_symbols for record in records if record.agent_state] == [(CALL,), ()]
    assert desk.account.open_orders() == []


# --- the loop ---------------------------------------------------------------------------------------------


def test_the_loop_stops_after_the_iterations_asked_for(tmp_path: Path) -> None:
    agent = simulated_agent(tmp_path)
    assert agent_loop.run_loop(agent, options("--iterations", "3")) == 0
    assert agent.recorder.iteration == 3


def test_a_request_to_stop_ends_the_loop_after_the_iteration_under_way(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk)

    def stop() -> None:
        agent.stop_requested = True

    desk.wire.disturb("private/get_positions", meanwhile(stop))
    assert agent_loop.run_loop(agent, options()) == 0
    assert (agent.recorder.iteration, len(decision_lines(tmp_path))) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "failing", "code"),
    [
        (("--once",), 1, 1),
        (("--iterations", "2"), 1, 0),
        (("--iterations", "2"), 2, 1),
    ],
)
def test_the_exit_code_is_1_where_the_last_iteration_asked_for_failed(
    tmp_path: Path, arguments: tuple[str, ...], failing: int, code: int
) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/get_open_orders", *[lost_on_the_way()] * 3 * failing)
    assert agent_loop.run_loop(agent_at(desk), options(*arguments)) == code


def test_the_last_thing_a_run_does_is_to_take_back_what_may_rest_of_its_own(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    agent = agent_at(desk)
    late = an_order_request(price_coin=0.03)
    desk.wire.disturb("private/get_account_summaries", meanwhile(lambda: desk.client.place_limit_order(late)))
    assert agent_loop.run_loop(agent, options("--once")) == 0
    assert desk.account.open_orders() == []
    assert [line["event"] for line in desk.order_lines()] == ["intent", "outcome", "closed"]


def test_an_order_that_cannot_be_taken_back_at_the_end_is_complained_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    desk.wire.disturb("private/get_order_state_by_label", *[lost_on_the_way()] * 3)
    desk.wire.disturb("private/get_open_orders", *[lost_on_the_way()] * 6)
    assert agent_loop.run_loop(agent_at(desk), options("--once")) == 1
    assert "an order of ours may stay open until 08:00 UTC" in capsys.readouterr().err


def test_an_order_left_live_at_the_end_is_complained_about_although_every_question_was_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    desk.wire.disturb("private/cancel", *[refused(10041, "settlement_in_progress")] * 10)
    agent_loop.run_loop(agent_at(desk), options("--once"))
    assert len(desk.account.open_orders()) == 1
    complaint = capsys.readouterr().err
    assert f"{an_order_request().label}: an order of ours may stay open until 08:00 UTC" in complaint


class StoppableClock(SimulatedClock):
    """A simulated clock that a signal can stop."""

    def stop(self) -> None:
        self.is_stopped = True


def test_sigterm_between_the_legs_of_a_roll_ends_the_run_before_the_second_order(tmp_path: Path) -> None:
    market = SimulatedMarket(2, StoppableClock(SIMULATION_START), size=MarketSize(expiries_max=6, strikes_per_side=5))
    often = {"dte_min": 0.5, "delta_min": 0.15, "delta_max": 0.48, "premium_min_usd": 1.0, "ivrv_min": 0.0}
    config = agent_config(tmp_path, run={"interval_seconds": 28_800.0}, btc=often, eth=often)
    desk = desk_on(PaperExchange(market, PaperAccount(market, START_COINS)), config)
    desk.wire.disturb("private/buy", meanwhile(lambda: os.kill(os.getpid(), signal.SIGTERM)))
    agent = agent_at(desk)
    with own_signal_handlers():
        stop_on_signals(agent)
        assert agent_loop.run_loop(agent, options("--iterations", "60")) == 0
    last = decision_lines(tmp_path)[-1]
    assert (last["action_type"], len(last["executed_action"]["legs"])) == ("ROLL_COVERED_CALL", 1)
    assert desk.wire.methods("private/buy", "private/sell")[-1] == "private/buy"


# --- the command line ---------------------------------------------------------------------------------------


def test_fifty_simulated_iterations_end_with_code_0_and_fifty_lines(tmp_path: Path) -> None:
    ended = simulated_run(tmp_path, "--iterations", "50")
    lines = decision_lines(tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert [line["iteration"] for line in lines] == list(range(1, 51))
    assert {(line["mode"], line["market"], line["run_id"]) for line in lines} == {
        ("simulated", "simulated", "simulated-0001")
    }
    assert ended.out.count("--- 2026-01-05") == 50
    assert "stopped after 50 iterations" in ended.out


def test_the_run_says_which_settings_are_not_the_defaults(tmp_path: Path) -> None:
    ended = simulated_run(tmp_path, "--once", "--seed", "7", "--interval", "600")
    first = ended.out.split("kill file")[0]
    assert first.startswith("mode: research; testnet only, in every mode\nsettings changed: ")
    assert "AGENT_SEED=7" in first
    assert "AGENT_INTERVAL_SECONDS=600.0" in first


def test_every_start_says_where_a_kill_file_would_stop_it(tmp_path: Path) -> None:
    said = in_one_line(simulated_run(tmp_path, "--once", "--quiet").out)
    assert f"kill file: {PROJECT_FOLDER}/data/KILL or {tmp_path}/data/KILL" in said


def test_a_quiet_run_prints_its_decisions_alone(tmp_path: Path) -> None:
    out = simulated_run(tmp_path, "--iterations", "3", "--quiet").out
    decisions = [line for line in out.splitlines() if line.startswith("2026-01-05")]
    assert len(decisions) == 3
    assert "---" not in out


def hash_of(folder: Path) -> str:
    files = sorted(folder.glob("logs/*"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_the_same_seed_writes_the_same_logs_and_another_seed_writes_others(tmp_path: Path) -> None:
    for name, seed in (("first", "3"), ("second", "3"), ("third", "4")):
        assert simulated_run(tmp_path / name, "--iterations", "5", "--seed", seed).code == 0
    assert hash_of(tmp_path / "first") == hash_of(tmp_path / "second")
    assert hash_of(tmp_path / "first") != hash_of(tmp_path / "third")


def test_two_runs_into_one_folder_are_told_apart(tmp_path: Path) -> None:
    for _ in range(2):
        simulated_run(tmp_path, "--once")
    assert [line["run_id"] for line in decision_lines(tmp_path)] == ["simulated-0001", "simulated-0002"]


def test_a_second_agent_on_the_same_data_folder_ends_with_code_3_before_anything(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "data")
    try:
        ended = simulated_run(tmp_path, "--once")
    finally:
        lock.release()
    assert (ended.code, ended.out) == (3, "")
    assert "another agent is running" in ended.err
    assert not (tmp_path / "logs").exists()
    assert simulated_run(tmp_path, "--once").code == 0


@pytest.mark.parametrize(
    "url", ["https://test.deribit.com:443", "https://TEST.deribit.COM", "https://test.deribit.com/"]
)
def test_the_account_lock_is_the_same_however_its_address_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    key = {"client_id": "made-up-id", "client_secret": "made-up-secret"}
    lock = take_account_lock(agent_config(tmp_path, deribit={**key, "base_url": "https://test.deribit.com"}))
    with pytest.raises(AlreadyRunningError, match="another agent is trading this account"):
        take_account_lock(agent_config(tmp_path, deribit={**key, "base_url": url}))
    lock.release()


@pytest.mark.parametrize("name", ["TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"])
def test_no_other_folder_of_the_environment_lets_a_second_agent_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = agent_config(tmp_path, deribit={"client_id": f"made-up-{name}", "client_secret": "made-up-secret"})
    lock = take_account_lock(config)
    monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(AlreadyRunningError):
        take_account_lock(config)
    lock.release()


def test_an_account_lock_that_cannot_be_made_ends_with_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".local").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="cannot be made"):
        take_account_lock(agent_config(tmp_path))


def removed(lock: Lock) -> None:
    lock.path.unlink()


def replaced(lock: Lock) -> None:
    removed(lock)
    take_lock(lock.path.parent).release()


def renamed(lock: Lock) -> None:
    lock.path.rename(lock.path.with_name("moved.lock"))


def moved_with_its_folder(lock: Lock) -> None:
    lock.path.parent.rename(lock.path.parent.with_name("moved"))


def closed(lock: Lock) -> None:
    lock.release()


def closed_and_its_handle_used_again(lock: Lock) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), lock.handle)


@pytest.mark.parametrize(
    "lose", [removed, replaced, renamed, moved_with_its_folder, closed, closed_and_its_handle_used_again]
)
def test_a_lock_that_is_no_longer_held_ends_the_run_before_anything_is_sent(
    tmp_path: Path, lose: Callable[[Lock], None]
) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk)
    agent.locks = (take_lock(tmp_path / "held"),)
    lose(agent.locks[0])
    with pytest.raises(AlreadyRunningError, match="removed, replaced or closed"):
        agent_loop.run_loop(agent, options("--once"))
    agent.locks[0].release()
    assert desk.wire.sent == []


def test_the_status_tells_what_the_last_line_says(tmp_path: Path) -> None:
    simulated_run(tmp_path, "--iterations", "3")
    ended = simulated_run(tmp_path, "--status")
    assert ended.code == 0
    assert "last line: 2026-01-05 12:" in ended.out
    assert "simulated run simulated-0001" in ended.out
    assert "-0.1 BTC-" in ended.out
    assert "DO_NOTHING" in ended.out


def test_the_status_of_a_folder_without_log_says_so(tmp_path: Path) -> None:
    ended = simulated_run(tmp_path, "--status")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no decision log" in ended.err


def test_the_doctor_finds_the_simulated_exchange_healthy(tmp_path: Path) -> None:
    ended = simulated_run(tmp_path, "--check")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert sum(not line.startswith(" ") for line in lines) == 19
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line] == []
    assert "FAIL" not in ended.out


@pytest.fixture
def owners_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder an owner works in; modules made there are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["my_policy", "my_policy.py"])
def test_an_owner_can_run_a_policy_of_their_own(owners_folder: Path, name: str) -> None:
    (owners_folder / "my_policy.py").write_text(
        "from policy_rule_based import nothing\n\n"
        "def decide_action(agent_state, config):\n"
        "    return nothing(f'I saw {len(agent_state.candidates)} calls')\n"
    )
    ended = simulated_run(owners_folder, "--once", "--policy", name)
    (line,) = decision_lines(owners_folder)
    assert (ended.code, line["policy"]) == (0, name)
    assert line["proposed_action"]["reason"] == "I saw 10 calls"


@pytest.mark.parametrize("field", ["symbol", "new_symbol", "reason"])
def test_a_key_in_any_field_of_an_action_is_in_no_line(tmp_path: Path, field: str) -> None:
    def tells(_state: AgentState, _config: AgentConfig) -> ProposedAction:
        return opening().model_copy(update={field: "made-up-secret-9937"})

    key = {"client_id": "made-up-id-4411", "client_secret": "made-up-secret-9937"}
    run_for(simulated_agent(tmp_path, tells, deribit=key), 1)
    assert "made-up-secret-9937" not in f"{decision_lines(tmp_path)}"


@pytest.mark.parametrize("given", ["./by_its_path.py", "below/by_its_path.py", "{folder}/by_its_path.py"])
def test_a_policy_given_as_a_path_is_loaded(owners_folder: Path, given: str) -> None:
    path = owners_folder / ("below" if "below" in given else "") / "by_its_path.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("def decide_action(agent_state, config):\n    return {'type': 'DO_NOTHING', 'reason': 'mine'}\n")
    ended = simulated_run(owners_folder, "--once", "--policy", given.format(folder=owners_folder))
    assert (ended.code, decision_lines(owners_folder)[0]["proposed_action"]["reason"]) == (0, "mine")


@pytest.mark.parametrize("given", ["./not_there.py", "policies/", "/nowhere/mine.py"])
def test_a_policy_path_that_leads_nowhere_is_refused_in_a_sentence(owners_folder: Path, given: str) -> None:
    ended = simulated_run(owners_folder, "--once", "--policy", given)
    assert (ended.code, ended.err) == (2, f"policy {given}: there is no such .py file\n")


def test_what_a_simulated_run_recorded_can_be_played_back(tmp_path: Path) -> None:
    simulated_run(tmp_path / "first", "--iterations", "4", "--record-chains")
    chains = tmp_path / "first" / "data" / "chains"
    ended = run_main(
        "--dry-run", "--market", "recorded", "--recording", chains, *folders(tmp_path / "second"), "--iterations", "3"
    )
    lines = decision_lines(tmp_path / "second")
    assert (ended.code, len(lines)) == (0, 3)
    assert {line["mode"] for line in lines} == {"recorded"}
    assert [line["spot_btc"] for line in lines] == [line["spot_btc"] for line in decision_lines(tmp_path / "first")[:3]]


def test_a_run_on_a_recording_ends_with_the_recording(tmp_path: Path) -> None:
    simulated_run(tmp_path / "first", "--iterations", "2", "--record-chains")
    chains = tmp_path / "first" / "data" / "chains"
    ended = run_main("--dry-run", "--market", "recorded", "--recording", chains, *folders(tmp_path / "second"))
    assert (ended.code, len(decision_lines(tmp_path / "second"))) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--iterations", "0"), "must be 1 or more"),
        (("--iterations", "-1"), "must be 1 or more"),
        (("--iterations", "many"), "must be a whole number"),
        (("--interval", "often"), "must be a number of seconds"),
        (("--interval", "29.9"), "--interval="),
        (("--interval", "86401"), "--interval="),
        (("--interval", "nan"), "--interval="),
        (("--interval", "inf"), "--interval="),
        (("--seed", "-1"), "--seed=-1"),
        (("--once", "--iterations", "2"), "contradict each other"),
        (("--market", "recorded"), "go together"),
        (("--recording", "somewhere"), "go together"),
        (("--candles", "somewhere.csv"), "go with --market recorded"),
        (("--dryrun",), "did you mean --dry-run?"),
        (("--iteration", "5"), "did you mean --iterations?"),
        (("--intervall=60",), "did you mean --interval?"),
        (("--market", "mainnet"), "invalid choice"),
    ],
)
def test_a_command_line_that_makes_no_sense_ends_with_code_2_before_anything(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    market = () if {"--market", "--recording", "--candles"} & set(arguments) else ("--market", "simulated")
    ended = run_main("--dry-run", *market, *folders(tmp_path), *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", ["30", "86400"])
def test_the_longest_and_the_shortest_interval_are_accepted(tmp_path: Path, seconds: str) -> None:
    assert simulated_run(tmp_path, "--iterations", "2", "--interval", seconds).code == 0


def test_without_a_key_trading_on_testnet_ends_with_code_2_and_names_what_is_missing(tmp_path: Path) -> None:
    ended = run_main("--once", *folders(tmp_path))
    assert (ended.code, ended.out) == (2, "")
    assert "DERIBIT_CLIENT_ID: required" in ended.err
    assert "DERIBIT_CLIENT_SECRET: required" in ended.err


# --- a process of its own -----------------------------------------------------------------------------------


def test_help_needs_neither_pandas_nor_numpy_nor_a_readable_env_file(tmp_path: Path) -> None:
    copy_of_the_project(tmp_path)
    (tmp_path / ".env").write_bytes(b"\xff\xfe broken = \x00")
    command = [sys.executable, "-X", "importtime", "agent_loop.py", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert imported & {"cli", "numpy", "pandas", "pydantic", "httpx", "config", "models"} == {"cli"}
    assert "--dry-run" in done.stdout


def test_a_package_that_is_missing_is_named_before_anything_else(tmp_path: Path) -> None:
    copy_of_the_project(tmp_path)
    (tmp_path / "httpx.py").write_text("raise ImportError('made up', name='httpx')")
    done = subprocess.run([sys.executable, "agent_loop.py", "--once"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "httpx is not installed, or too old: pip install -r requirements.txt (made up)\n"


def stopped_by(name: signal.Signals, project: Path, *arguments: str) -> tuple[int, str, str]:
    """Start the agent, send it a signal after its first iteration, and wait for its end."""
    command = [sys.executable, "agent_loop.py", *arguments, *map(str, folders(project))]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "DO_NOTHING" in line)
        process.send_signal(name)
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_sigterm_ends_a_busy_agent_with_code_0(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path)
    code, out, err = stopped_by(signal.SIGTERM, project, "--market", "simulated")
    assert (code, err) == (0, "")
    assert "stopped after" in out
    assert all("error" in line for line in decision_lines(project))


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_wakes_a_sleeping_agent_and_ends_it_with_code_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: signal.Signals
) -> None:
    market = ScriptedMarket()
    market.show(CALL, 0.02, 0.021)
    server = PaperServer(PaperExchange(market, PaperAccount(market)))
    server.start()
    settings = {"BASE_URL": server.url, "CLIENT_ID": "made-up-id", "CLIENT_SECRET": "made-up-secret"}
    for setting, value in settings.items():
        monkeypatch.setenv(f"DERIBIT_{setting}", value)
    code, out, err = stopped_by(name, copy_of_the_project(tmp_path))
    server.stop()
    assert (code, err) == (0, "")
    assert "stopped after 1 iterations" in out


def test_the_status_without_a_market_finds_the_newest_run(tmp_path: Path) -> None:
    logs, data = tmp_path / "logs", tmp_path / "data"
    run_main("--market", "simulated", "--once", "--log-dir", logs / "simulated", "--data-dir", data)
    ended = run_main("--status", "--log-dir", logs, "--data-dir", data)
    assert ended.code == 0
    assert "simulated run simulated-0001" in ended.out
