"""A line read in one pass says what the tolerant reading says, and older lines are read as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.log_lines.decision_lines import decision_of, decision_of_today
from logging_utils import read_logged_decisions, state_from_record
from models import ProposedAction
from tests.agent.test_old_logs import DRY_RUN, SIMULATED
from tests.builders.agent import run_for, simulated_agent


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("five")
    run_for(simulated_agent(folder), 5)
    return folder / "logs"


def records_of(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("decisions-*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_bytes().splitlines()]


def test_a_line_of_today_gives_the_state_and_the_action_that_the_tolerant_reading_gives(log: Path) -> None:
    decisions, records = list(read_logged_decisions(log)), records_of(log)
    assert [decision.agent_state for decision in decisions] == [state_from_record(record) for record in records]
    actions = [ProposedAction.model_validate_json(json.dumps(record["proposed_action"])) for record in records]
    assert [decision.proposed_action for decision in decisions] == actions
    assert [decision.policy_hash for decision in decisions] == [record["policy_hash"] for record in records]


@pytest.mark.filterwarnings("ignore:.*another version")
@pytest.mark.parametrize("folder", [DRY_RUN, SIMULATED])
def test_lines_of_an_older_version_give_what_the_tolerant_reading_gives(folder: Path) -> None:
    records = records_of(folder)
    decisions = list(read_logged_decisions(folder))
    assert len(decisions) == len(records) > 0
    for decision, record in zip(decisions, records, strict=True):
        assert decision.iteration == record["iteration"]
        if record["agent_state"] is not None:
            assert decision.agent_state == state_from_record(record)
        assert (decision.agent_state is None) == (record["agent_state"] is None)
        assert decision.policy_hash.startswith("p-")


def test_a_field_that_nobody_knows_is_passed_over_and_one_that_is_missing_is_named(log: Path) -> None:
    record = records_of(log)[0]
    record["agent_state"]["mood"] = "good"
    del record["agent_state"]["markets"][0]["spot_usd"]
    with pytest.warns(UserWarning, match="spot_usd"):
        expected = state_from_record(record)
    assert decision_of_today(json.dumps(record).encode()) is None
    decision = decision_of(record)
    assert decision is not None
    assert decision.agent_state == expected
    assert decision.lost == ("agent_state.markets.0.spot_usd",)


@pytest.mark.parametrize("record", [{}, {"event": "intent", "label": "x"}, {"proposed_action": {}}])
def test_what_is_no_decision_is_none(record: dict[str, Any]) -> None:
    assert decision_of_today(json.dumps(record).encode()) is None
    assert decision_of(record) is None


def test_a_line_of_a_newer_version_is_not_read_in_one_pass(log: Path) -> None:
    newer = records_of(log)[0] | {"schema_version": 99}
    assert decision_of_today(json.dumps(newer).encode()) is None
