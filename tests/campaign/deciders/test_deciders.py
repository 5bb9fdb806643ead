"""The fast part of the campaign with deciders: whoever decides, nothing is found, and no shadow changes a byte.

More of it is `python -m tests.campaign --deciders`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config import AgentConfig
from logging_utils import IterationRecord
from models import ProposedAction
from policies.call import ask_policy
from risk_engine import judge_action
from tests.builders.configs import agent_config
from tests.campaign.deciders.drawing import draw_with_deciders
from tests.campaign.deciders.forbidden import FORBIDDEN, forbidden_wishes
from tests.campaign.deciders.model_endpoint import BAD_ANSWERS, MODEL_KEY
from tests.campaign.deciders.named import policy_named
from tests.campaign.report.runner import run_many, run_one, same_twice
from tests.campaign.world.schedule import Schedule, draw_schedule, from_json
from tests.campaign.world.test_schedules import pinned_seeds
from tests.campaign.world.trace import Trace
from tests.campaign.world.traces import MODEL_CACHE
from tests.campaign.world.world import run_schedule

SEEDS_FILE = Path(__file__).parent / "seeds.txt"
CAMPAIGN_SEED = 20261129
SCHEDULES = 40
PROCESSES = 2
NOT_KEPT = ("unavailable", "budget")  # outcomes without a reply, which a replay has nothing to read of
FORM_FOLLOWS_BYTES = {"D05", "D06"}  # what they do to a file hangs on how long its lines are


def test_no_schedule_breaks_an_invariant_whoever_decides() -> None:
    results = list(run_many(CAMPAIGN_SEED, range(SCHEDULES), PROCESSES, draw=draw_with_deciders))
    found = sorted(f"{result.name} {line}" for result in results for line in result.violations)
    assert found == [], "replay with: python -m tests.campaign --deciders --only SEED:INDEX"

    decided = sum((Counter(result.decided) for result in results), Counter[str]())
    reached = {name.partition(":")[0] for name in decided}
    assert reached >= {"decisions", "explored", "forbidden, refused", "model", "shadow"}
    assert {f"model: {outcome}" for outcome in ("chosen", "invalid", "unavailable", "refused")} <= set(decided)


def test_no_schedule_that_ever_broke_one_does_so_again() -> None:
    pinned = pinned_seeds(SEEDS_FILE.read_text(encoding="utf-8"))
    found = [
        f"{seed}:{index} {line}"
        for seed, index in pinned
        for line in run_one(seed, index, draw=draw_with_deciders).violations
    ]
    assert found == []


def test_the_same_seed_leaves_the_same_ledger_and_log() -> None:
    assert same_twice(CAMPAIGN_SEED, range(4), PROCESSES, draw_with_deciders) == []


def test_who_decides_is_drawn_apart_from_what_goes_wrong() -> None:
    for index in range(50):
        drawn, alone = draw_with_deciders(1, index), draw_schedule(1, index)
        for name in ("start_at", "iterations", "skew", "regime", "crashes", "disk_faults", "acts"):
            assert getattr(drawn, name) == getattr(alone, name)
        assert (alone.shadows, alone.model_faults_pct) == ((), 0)
        assert from_json(drawn.to_json()) == drawn


# --- shadows -------------------------------------------------------------------------------


def watched_schedules(count: int) -> Iterator[Schedule]:
    """The first few with shadows, and without faults whose form follows from the bytes of the log."""
    drawn = (draw_with_deciders(CAMPAIGN_SEED, index) for index in range(1_000))
    fit = (it for it in drawn if len(it.shadows) > 1 and not FORM_FOLLOWS_BYTES & {f.row for f in it.disk_faults})
    return (schedule for schedule, _ in zip(fit, range(count), strict=False))


def everything_but_shadows(trace: Trace) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Ledger, requests and both logs."""
    events = [point.event for point in trace.points]
    calls = [(call.sent_at, call.method, call.params, call.rows) for call in trace.calls]
    lines = [{name: value for name, value in line.items() if name != "shadows"} for line in trace.decisions]
    return events, calls, lines, trace.order_lines


def test_no_shadow_changes_a_byte_of_what_is_done(tmp_path: Path) -> None:
    for schedule in watched_schedules(4):
        watched = everything_but_shadows(run_schedule(schedule, tmp_path / "run"))
        alone = everything_but_shadows(run_schedule(replace(schedule, shadows=()), tmp_path / "run"))
        assert watched == alone, schedule.seed


# --- the same state, the same decision ---------------------------------------------------


@pytest.mark.parametrize("policy", ["rule_based", "eager", "llm", "forbidden"])
def test_deciding_again_on_a_logged_state_gives_the_same_action(tmp_path: Path, policy: str) -> None:
    schedule = a_schedule_of(policy, model_faults_pct=30)
    trace = run_schedule(schedule, tmp_path)
    config, decide = config_of(schedule, tmp_path, cache="only"), policy_named(policy, f"{schedule.seed}")
    again = 0
    for record in records_of(trace):
        call = record.proposed_action.model_call
        if record.agent_state is None or record.error is not None or (call and call.outcome in NOT_KEPT):
            continue
        decided = ask_policy(decide, record.agent_state, config).action
        assert without_cache(decided) == without_cache(record.proposed_action)
        again += 1
    assert again > 10


def records_of(trace: Trace) -> list[IterationRecord]:
    """The lines of the decision log, as a replay reads them."""
    return [IterationRecord.model_validate_json(json.dumps(line)) for line in trace.decisions]


def without_cache(action: ProposedAction) -> ProposedAction:
    """Where the reply came from is the one thing that differs."""
    if action.model_call is None:
        return action
    return action.model_copy(update={"model_call": action.model_call.model_copy(update={"from_cache": True})})


# --- the forbidden -------------------------------------------------------------------------


def test_nothing_forbidden_is_allowed_in_any_state_of_a_schedule(tmp_path: Path) -> None:
    schedule = a_schedule_of("forbidden")
    records, config = records_of(run_schedule(schedule, tmp_path)), config_of(schedule, tmp_path)
    refused: Counter[str] = Counter()
    for record in records:
        wishes = () if record.agent_state is None else forbidden_wishes(record.agent_state, config)
        for kind, action in wishes:
            assert record.agent_state is not None
            assert not judge_action(record.agent_state, action, config).allowed, (kind, action, record.iteration)
            refused[kind] += 1
    assert len(refused) > 20
    assert any(record.proposed_action.reason.startswith(FORBIDDEN) for record in records)


# --- the model -------------------------------------------------------------------------------


def test_a_models_key_is_sent_to_it_and_left_nowhere(tmp_path: Path) -> None:
    """Every bad answer comes up; those that repeat the key among them."""
    schedule = replace(a_schedule_of("llm", model_faults_pct=100), iterations=40)
    trace = run_schedule(schedule, tmp_path)
    assert len(trace.model.asked_at) > len(BAD_ANSWERS) // 2
    assert any(name.startswith(MODEL_CACHE) for name in trace.raw_files)
    assert any(name.startswith("logs/model_calls/") for name in trace.raw_files)
    assert not any(MODEL_KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def a_schedule_of(policy: str, model_faults_pct: int = 0) -> Schedule:
    """The first in which it acts and may ask as often as it likes."""
    drawn = (draw_with_deciders(CAMPAIGN_SEED, index) for index in range(1_000))
    fit = (it for it in drawn if it.policy == policy and it.settings["llm"]["max_calls_per_day"] > 100)
    schedule = next(it for it in fit if it.settings["llm"]["max_tokens_per_day"] > 100_000)
    return replace(schedule, model_faults_pct=model_faults_pct)


def config_of(schedule: Schedule, folder: Path, **llm: Any) -> AgentConfig:
    """The settings it ran with."""
    model = schedule.settings["llm"] | {"cache_dir": folder / MODEL_CACHE} | llm
    return agent_config(folder, **(schedule.settings | {"llm": model}))
