"""The logs: a line is written whole or not at all, nothing is lost, and what was logged can be decided again."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.recorder import IterationEnd, WireFigures
from logging_utils import (
    IterationRecord,
    last_record,
    read_decisions,
    read_ledger,
    read_records,
    short_hash,
    state_from_record,
)
from models import ActionType, ConfigurationError, LedgerEntry, ProposedAction, Reason
from orders.jsonl_file import JsonlLog
from paper_exchange.market.clocks import SimulatedClock
from policies.call import ask_policy
from policy_rule_based import decide_action
from tests.builders.agent import RUN, decision_lines, run_for, simulated_agent
from tests.builders.configs import a_config
from tests.builders.paper import START
from tests.builders.records import record_of
from tests.builders.states import a_state

SYMBOL = "BTC-16JAN26-110000-C"
FLAT_FIELDS = [
    "schema_version",
    "run_id",
    "iteration",
    "sequence",
    "timestamp",
    "mode",
    "market",
    "policy",
    "config_hash",
    "policy_hash",
    "settings_mode",
    "action_type",
    "underlying",
    "symbol",
    "size",
    "allowed",
    "executed_status",
    "trading_state",
    "error",
    "spot_btc",
    "spot_eth",
    "equity_btc",
    "equity_eth",
    "portfolio_value_usd_before",
    "portfolio_value_usd_after",
    "duration_ms",
    "request_count",
]
NESTED_FIELDS = ["agent_state", "proposed_action", "risk_engine_result", "executed_action", "api_responses"]


def a_log(folder: Path, prefix: str = "decisions") -> JsonlLog:
    return JsonlLog(folder, prefix, SimulatedClock(START))


def a_record(iteration: int = 1, **outcome: Any) -> IterationRecord:
    return record_of(
        RUN, IterationEnd(iteration, START + timedelta(minutes=iteration), WireFigures(12.5, 7, ())), **outcome
    )


def an_entry(**fields: Any) -> LedgerEntry:
    trade = {"currency": "BTC", "entry_type": "trade", "symbol": SYMBOL, "booked_at": START, "change_coin": 0.01}
    return LedgerEntry(**{**trade, **fields})


# --- the record ---------------------------------------------------------------------------------


def test_the_flat_figures_come_first_in_the_order_of_the_design() -> None:
    names = list(json.loads(a_record().model_dump_json()))
    assert names[: len(FLAT_FIELDS)] == FLAT_FIELDS
    assert [name for name in names if name in NESTED_FIELDS] == NESTED_FIELDS


def test_a_record_read_back_is_the_record_that_was_written(tmp_path: Path) -> None:
    records = run_for(simulated_agent(tmp_path), 3)
    lines = decision_lines(tmp_path)
    assert [IterationRecord.model_validate_json(json.dumps(line)) for line in lines] == records


def test_the_state_in_the_log_is_complete_and_decides_the_same(tmp_path: Path) -> None:
    agent = simulated_agent(tmp_path, run={"exploration_pct": 50.0})
    records = run_for(agent, 5)
    for line, record in zip(decision_lines(tmp_path), records, strict=True):
        state = state_from_record(line)
        assert state == record.agent_state
        assert ask_policy(decide_action, state, agent.config).action == record.proposed_action


def test_an_iteration_that_got_nowhere_has_a_line_that_says_why() -> None:
    record = a_record(error="Traceback ...\nDeribitConnectionError: no route")
    assert (record.action_type, record.agent_state, record.timestamp) == (
        "DO_NOTHING",
        None,
        START + timedelta(minutes=1),
    )
    assert record.proposed_action.reason == "iteration failed: DeribitConnectionError: no route"


def test_flat_figures_are_taken_from_the_state() -> None:
    state = a_state(value_usd=140_000.0)
    record = a_record(state=state)
    assert (record.spot_btc, record.spot_eth, record.equity_btc, record.equity_eth) == (100_000.0, 4_000.0, 1.0, 10.0)
    assert (record.portfolio_value_usd_before, record.portfolio_value_usd_after) == (140_000.0, 140_000.0)
    assert record.timestamp == state.timestamp


def test_the_value_after_a_trade_is_counted_with_the_spots_of_the_decision() -> None:
    record = a_record(state=a_state(value_usd=140_000.0), equity_after_coin={"BTC": 1.01, "ETH": 10.0})
    assert record.portfolio_value_usd_after == pytest.approx(141_000.0)


def test_every_reason_of_the_risk_engine_is_kept() -> None:
    action = ProposedAction(type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol="x", size=1.0, reason="r")
    reasons = (Reason(rule="margin", text="60 %"), Reason(rule="coverage", text="2"))
    record = a_record(state=a_state(), action=action, reasons=reasons)
    assert (record.allowed, record.risk_engine_result.reasons) == (False, reasons)
    assert (record.action_type, record.symbol, record.size, record.executed_status) == (
        "OPEN_COVERED_CALL",
        "x",
        1.0,
        "none",
    )


def test_hashes_are_short_and_tell_texts_apart() -> None:
    assert len(short_hash("a")) == 12
    assert short_hash("a") != short_hash("b")


# --- reading -------------------------------------------------------------------------------------------------


def written(folder: Path, *records: IterationRecord) -> Path:
    log = a_log(folder)
    for record in records:
        log.write_line(record.model_dump_json())
    return log.path()


def test_decisions_become_one_row_an_iteration_with_figures_out_of_the_state(tmp_path: Path) -> None:
    run_for(simulated_agent(tmp_path), 3)
    frame = read_decisions(f"{tmp_path}/logs/*.jsonl")
    assert list(frame["iteration"]) == [1, 2, 3]
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert list(frame["short_calls_btc"]) == [0.0, 0.1, 0.1]
    assert frame["iv_rv_btc"].gt(0.5).all()
    assert frame["reason"].str.len().gt(10).all()


def test_a_folder_with_a_torn_last_line_can_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, a_record(1), a_record(2))
    path.write_bytes(path.read_bytes() + a_record(3).model_dump_json().encode()[:200])
    with pytest.warns(UserWarning, match=r"2026-01-05.jsonl: a line cannot be read and is left out \(line 3\)"):
        frame = read_decisions(tmp_path)
    assert list(frame["iteration"]) == [1, 2]


def test_decisions_without_a_state_can_be_read(tmp_path: Path) -> None:
    written(tmp_path, a_record(1, error="no route"), a_record(2, state=a_state()))
    frame = read_decisions(f"{tmp_path}/*.jsonl")
    assert list(frame["error"].isna()) == [False, True]
    assert list(frame["iv_rv_btc"].isna()) == [True, False]


def test_order_lines_in_the_same_folder_are_no_decisions(tmp_path: Path) -> None:
    written(tmp_path, a_record())
    a_log(tmp_path, "orders").write_line('{"event": "intent"}')
    assert len(read_records(f"{tmp_path}/*.jsonl")) == 2
    assert len(read_decisions(f"{tmp_path}/*.jsonl")) == 1


def test_no_decisions_are_an_empty_table_with_the_usual_columns(tmp_path: Path) -> None:
    a_log(tmp_path, "orders").write_line('{"event": "intent"}')
    frame = read_decisions(f"{tmp_path}/*.jsonl")
    assert (len(frame), list(frame.columns)) == (0, list(IterationRecord.model_fields))


def test_the_last_record_is_the_newest_whole_line(tmp_path: Path) -> None:
    path = written(tmp_path, a_record(1), a_record(2))
    path.write_bytes(path.read_bytes() + b'{"schema_version": 1, "run_id')
    assert last_record(tmp_path) == a_record(2)


@pytest.mark.parametrize("content", [None, b"", b'{"schema_version": 1'])
def test_where_there_is_no_whole_line_there_is_no_last_record(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "decisions-2026-01-05.jsonl").write_bytes(content)
    assert last_record(tmp_path) is None


def test_the_last_record_is_the_newest_by_its_own_time_among_the_last_six_files(tmp_path: Path) -> None:
    newest = a_record(9).model_dump_json().encode() + b"\n"
    for day in range(1, 8):
        other = a_record(day).model_dump_json().encode() + b"\n"
        (tmp_path / f"decisions-2026-01-0{day}.jsonl").write_bytes(newest if day == 2 else other)
    assert last_record(tmp_path) == a_record(9)
    (tmp_path / "decisions-2026-01-08.jsonl").write_bytes(b"")
    assert last_record(tmp_path) == a_record(7)


def test_a_log_that_another_version_wrote_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "decisions-2026-01-05.jsonl").write_text('{"schema_version":99,"run_id":"test-0001"}\n')
    with pytest.raises(ConfigurationError, match=r"2026-01-05.jsonl was written by another version of the agent"):
        last_record(tmp_path)


def test_the_ledger_counts_an_entry_that_was_seen_twice_once(tmp_path: Path) -> None:
    trade, delivery = an_entry(), an_entry(entry_type="delivery", change_coin=-0.02)
    written(tmp_path, a_record(1, ledger=(trade,)), a_record(2, ledger=(trade, delivery)))
    ledger = read_ledger(f"{tmp_path}/*.jsonl")
    assert list(ledger["entry_type"]) == ["trade", "delivery"]
    assert ledger["change_coin"].sum() == pytest.approx(-0.01)


def test_two_fills_alike_but_for_the_balance_they_left_are_two_entries(tmp_path: Path) -> None:
    fills = (an_entry(balance_coin=1.01), an_entry(balance_coin=1.02))
    written(tmp_path, a_record(1, ledger=fills))
    assert len(read_ledger(f"{tmp_path}/*.jsonl")) == 2


def test_a_log_without_trades_has_an_empty_ledger(tmp_path: Path) -> None:
    written(tmp_path, a_record(1))
    assert read_ledger(f"{tmp_path}/*.jsonl").empty


def test_the_same_simulated_run_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second = simulated_agent(tmp_path / "first"), simulated_agent(tmp_path / "second")
    run_for(first, 3)
    run_for(second, 3)
    assert (tmp_path / "first/logs/decisions-2026-01-05.jsonl").read_bytes() == (
        tmp_path / "second/logs/decisions-2026-01-05.jsonl"
    ).read_bytes()


def test_a_logged_decision_can_be_tried_with_other_settings(tmp_path: Path) -> None:
    run_for(simulated_agent(tmp_path), 1)
    state = state_from_record(decision_lines(tmp_path)[0])
    nothing_enabled = a_config(btc={"enabled": False}, eth={"enabled": False})
    assert decide_action(state, nothing_enabled).type == ActionType.DO_NOTHING
