"""Shadow policies: checked and logged, never sent; whatever one does, the acting policy's line is the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.assembly import Agent
from config import AgentConfig
from models import ActionType, AgentState, ProposedAction
from policies.shadow import Shadow
from tests.builders.agent import agent_at, decision_lines, folders, opening, run_for, run_main, scripted_desk

SHORT_SECONDS = 1.0


def raises(_state: AgentState, _config: AgentConfig) -> ProposedAction:
    raise SystemExit(3)


def hangs(_state: AgentState, _config: AgentConfig) -> ProposedAction:
    while True:
        time.sleep(60.0)


def returns_nonsense(_state: AgentState, _config: AgentConfig) -> Any:
    return {"type": "SELL_EVERYTHING"}


def wants_the_forbidden(state: AgentState, _config: AgentConfig) -> ProposedAction:
    return opening("BTC-30JAN26-999000-C", 100.0)


def changes_what_it_is_given(state: AgentState, _config: AgentConfig) -> ProposedAction:
    state.__dict__["kill_switch_on"] = True
    state.portfolio.__dict__["positions"] = ()
    return ProposedAction(type=ActionType.DO_NOTHING, reason="x" * 1000)


SHADOWS: Mapping[str, Callable[..., Any]] = {
    "raises": raises,
    "hangs": hangs,
    "nonsense": returns_nonsense,
    "forbidden": wants_the_forbidden,
    "changes": changes_what_it_is_given,
}


def run_with(folder: Path, shadows: tuple[Shadow, ...]) -> list[dict[str, Any]]:
    """Two iterations of a policy that sells, with these shadows."""
    desk = scripted_desk(folder, run={"policy_seconds": SHORT_SECONDS})
    agent: Agent = agent_at(desk, lambda _state, _config: opening())
    agent.shadows = shadows
    run_for(agent, 2)
    return decision_lines(folder)


WATCHED = ("timestamp", "action_type", "symbol", "size", "allowed", "executed_status", "error", "request_count")
NESTED = ("agent_state", "proposed_action", "risk_engine_result", "executed_action", "ledger", "breaker")


@pytest.mark.parametrize("name", SHADOWS)
def test_no_shadow_changes_a_byte_of_what_the_acting_policy_did(tmp_path: Path, name: str) -> None:
    alone = run_with(tmp_path / "alone", ())
    watched = run_with(tmp_path / "watched", (Shadow(name, "p-1", SHADOWS[name]),))
    for field in (*WATCHED, *NESTED):
        assert [line[field] for line in watched] == [line[field] for line in alone], field
    assert [[shadow["policy"] for shadow in line["shadows"]] for line in watched] == [[name], [name]]


def test_a_shadow_is_checked_like_the_real_thing_and_what_went_wrong_is_in_its_own_decision(tmp_path: Path) -> None:
    first, _ = run_with(tmp_path, tuple(Shadow(name, "p-1", policy) for name, policy in SHADOWS.items()))
    told = {shadow["policy"]: shadow for shadow in first["shadows"]}
    assert list(told) == list(SHADOWS)
    assert told["forbidden"]["check"]["allowed"] is False
    assert told["raises"]["action"]["reason"].startswith("policy_error: SystemExit: 3 (test_shadow.py:")
    assert told["hangs"]["error"] == "policy_error: test_shadow did not return within 1 s"
    assert told["nonsense"]["action"]["type"] == "DO_NOTHING"
    assert first["error"] is None


def test_shadows_are_named_on_the_command_line_and_shown(tmp_path: Path) -> None:
    arguments = ("--market", "simulated", "--once", "--shadow", "policy_rule_based", "--shadow", "llm")
    ended = run_main(*arguments, *folders(tmp_path))
    assert ended.code == 0
    assert "shadow policy_rule_based: OPEN_COVERED_CALL: BTC: no call is held" in " ".join(ended.out.split())
    assert "shadow llm: DO_NOTHING: unavailable: LLM_BASE_URL" in ended.out
    (line,) = decision_lines(tmp_path)
    assert [shadow["action"]["type"] for shadow in line["shadows"]] == ["OPEN_COVERED_CALL", "DO_NOTHING"]


def test_a_shadow_that_is_no_policy_is_refused_before_anything_runs(tmp_path: Path) -> None:
    ended = run_main("--market", "simulated", "--once", "--shadow", "no_such_policy", *folders(tmp_path))
    assert (ended.code, decision_lines(tmp_path)) == (2, [])
    assert "there is no no_such_policy.py here" in ended.err


def test_a_misspelt_policy_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    ended = run_main("--market", "simulated", "--once", "--policy", "policy_rule_basd", *folders(tmp_path))
    assert ended.code == 2
    assert "(did you mean policy_rule_based?)" in " ".join(ended.err.split())
