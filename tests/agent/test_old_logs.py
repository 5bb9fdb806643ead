"""Logs outlive the models: what version 1 wrote, and lines with a field renamed or removed, are read by everything.

`old_logs/` holds a dry run (two sales, an iteration that failed, one that did nothing) and a simulated run, both
written by the version before.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.assembly import Agent, assemble_agent
from cli.report import status_text
from core.log_lines.old_lines import read_tolerantly
from logging_utils import last_record, read_decisions, read_ledger, read_orders, state_from_record
from models import AgentState, TradingState
from paper_exchange.market.clocks import SimulatedClock
from policy_rule_based import decide_action
from tests.builders.agent import a_setup
from tests.builders.configs import agent_config
from tests.builders.paper import START

OLD_LOGS = Path(__file__).parent / "old_logs"
DRY_RUN, SIMULATED = OLD_LOGS / "dry_run_v1", OLD_LOGS / "simulated_v1"
LAST_FILE = "decisions-2026-01-06.jsonl"

Line = dict[str, Any]
Way = tuple[str | int, ...]


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def last_line() -> Line:
    return lines_of(DRY_RUN / LAST_FILE)[-1]


def ways_into(value: Any, way: Way = ()) -> Iterator[Way]:
    """The paths of all fields of a line; of a list its first row stands for all."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*way, name)
            yield from ways_into(inner, (*way, name))
    elif isinstance(value, list) and value:
        yield from ways_into(value[0], (*way, 0))


def removed(line: Line, way: Way) -> Line:
    copy, holder = copied(line, way)
    del holder[way[-1]]
    return copy


def renamed(line: Line, way: Way) -> Line:
    copy, holder = copied(line, way)
    holder[f"{way[-1]}_of_old"] = holder.pop(way[-1])
    return copy


def copied(line: Line, way: Way) -> tuple[Line, Any]:
    """A copy of a line, and the part of it that holds the field."""
    copy: Line = json.loads(json.dumps(line))
    holder: Any = copy
    for step in way[:-1]:
        holder = holder[step]
    return copy, holder


Change = Callable[[Line, Way], Line]
CHANGES: list[Change] = [removed, renamed]


def a_copy(folder: Path, change: Change | None = None, way: Way = ()) -> Path:
    """The logs of the dry run, the last line changed."""
    logs = folder / "logs"
    shutil.copytree(DRY_RUN, logs, dirs_exist_ok=True)
    if change is not None:
        failed, last = lines_of(logs / LAST_FILE)
        (logs / LAST_FILE).write_text(f"{json.dumps(failed)}\n{json.dumps(change(last, way))}\n")
    return logs


def started_again(folder: Path) -> Agent:
    setup = a_setup()
    setup.clock.sleep(86_400.0)
    key = ("paper", "paper")
    return assemble_agent(agent_config(folder), setup.transport, setup.clock, "dry_run", "testnet", credentials=key)


# --- the version before -------------------------------------------------------------------------------


def test_decisions_of_the_version_before_are_one_table_and_their_hashes_are_text_like_today_s() -> None:
    runs = read_decisions(DRY_RUN)
    assert list(runs["executed_status"]) == ["filled", "filled", "none", "none"]
    assert set(runs["config_hash"]) == {"c-1c31e8facabd"}
    assert runs["policy_hash"].str.startswith("p-").all()
    assert list(runs["iv_rv_btc"].isna()) == [False, False, True, False]


def test_the_ledger_and_the_orders_of_the_version_before_are_read() -> None:
    assert len(read_ledger(DRY_RUN)) == 2
    orders = read_orders(DRY_RUN)
    assert list(orders["event"])[:4] == ["intent", "outcome", "edit", "edit"]
    assert set(orders.query("event == 'edit'")["order_id"]) == {"o-100000000001", "o-ETH-100000000002"}


@pytest.mark.parametrize("folder", [DRY_RUN, SIMULATED])
def test_states_of_the_version_before_are_complete_and_can_be_decided_on(folder: Path, tmp_path: Path) -> None:
    lines = [line for path in folder.glob("decisions-*") for line in lines_of(path) if line["agent_state"]]
    for line in lines:
        action = decide_action(state_from_record(line), agent_config(tmp_path))
        assert action.symbol == line["symbol"]


def test_a_lasting_account_goes_on_from_the_logs_of_the_version_before(tmp_path: Path) -> None:
    a_copy(tmp_path)
    agent = started_again(tmp_path)
    assert (agent.trading.breaker.state, agent.recorder.run.lines_before) == (TradingState.ACTIVE, 4)
    assert (agent.order_log.unresolved(), agent.order_log.unclosed()) == ((), ())
    assert agent.order_log.sent_since(START) == 2


# --- fields renamed and removed ---------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_whichever_field_is_missing_every_reader_takes_the_line(change: Change, tmp_path: Path) -> None:
    line = last_line()
    for way in ways_into(line):
        logs = a_copy(tmp_path, change, way)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they name what is missing
            assert len(read_decisions(logs)) == (3 if way == ("iteration",) else 4), way
            changed = change(line, way)
            if changed.get("agent_state") is not None:
                assert isinstance(state_from_record(changed), AgentState), way
        record = last_record(logs, "dry_run")
        assert record is not None, way
        assert status_text(record, record.timestamp), way


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "way",
    [
        ("schema_version",),
        ("run_id",),
        ("mode",),
        ("policy_hash",),
        ("agent_state",),
        ("agent_state", "decision_id"),
        ("agent_state", "markets", 0, "spot_usd"),
        ("agent_state", "portfolio", "positions", 0, "strike"),
        ("proposed_action", "reason"),
        ("breaker",),
        ("breaker", "failed"),
    ],
)
def test_a_lasting_account_starts_unrestricted_whichever_field_is_missing(
    way: Way, change: Change, tmp_path: Path
) -> None:
    a_copy(tmp_path, change, way)
    agent = started_again(tmp_path)
    assert (agent.trading.breaker.state, agent.recorder.run.lines_before) == (TradingState.ACTIVE, 4)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", [("breaker",), ("breaker", "state"), ("breaker", "why")])
def test_a_halt_is_not_forgotten_with_the_field_that_said_so(way: Way, change: Change, tmp_path: Path) -> None:
    def halted(line: Line, way: Way) -> Line:
        line["breaker"] |= {"state": "HALTED", "why": "10 failed iterations in a row"}
        return change(line | {"trading_state": "HALTED"}, way)

    a_copy(tmp_path, halted, way)
    assert started_again(tmp_path).trading.breaker.state == TradingState.HALTED


def test_of_a_state_that_lacks_a_field_the_rest_is_kept_and_the_field_is_none_and_named() -> None:
    line = removed(last_line(), ("agent_state", "markets", 0, "spot_usd"))
    with pytest.warns(UserWarning, match=r"the state lacks markets.0.spot_usd"):
        state = state_from_record(line)
    spots: list[Any] = [market.spot_usd for market in state.markets]
    assert (spots[0], spots[1] > 0.0, len(state.portfolio.positions)) == (None, True, 2)


def test_a_field_with_a_default_gets_it_and_an_unknown_one_is_ignored_without_a_word() -> None:
    line = last_line()
    known = removed(line, ("agent_state", "seed"))["agent_state"] | {"of_tomorrow": [1]}
    lost: list[str] = []
    assert (read_tolerantly(AgentState, known, lost).seed, lost) == (1, [])


def test_a_field_of_another_type_is_like_a_missing_one() -> None:
    line = last_line()
    lost: list[str] = []
    state = read_tolerantly(AgentState, line["agent_state"] | {"decision_id": 7, "markets": "none"}, lost)
    found: list[Any] = [state.decision_id, state.markets]
    assert (found, lost) == ([None, None], ["decision_id", "markets"])


def test_a_line_without_a_state_has_none_and_says_why() -> None:
    failed = lines_of(DRY_RUN / LAST_FILE)[0]
    with pytest.raises(ValueError, match=r"iteration 3 has no state: DeribitConnectionError"):
        state_from_record(failed)


def test_a_line_of_a_newer_version_is_not_interpreted(tmp_path: Path) -> None:
    logs = a_copy(tmp_path, lambda line, _: line | {"schema_version": 3})
    record = last_record(logs, "dry_run")
    assert record is not None
    assert record.sequence == 3
    assert SimulatedClock(START).now() < record.timestamp
