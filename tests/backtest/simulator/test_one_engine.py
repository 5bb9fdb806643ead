"""One engine: agent_loop.py, CoveredCallEnv, CoveredCallSimulator and replay decide the same; ledgers are equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.env_simulator import CoveredCallEnv
from backtest.replay.again import Replay, decide_again
from backtest.replay.logged import read_log
from backtest.replay.settings import settings_of
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from logging_utils import read_logged_decisions
from models import LedgerEntry, ProposedAction
from paper_exchange.setups import simulated_setup
from policy_rule_based import decide_action
from tests.backtest.simulator.runs import SIX_HOURS_SECONDS, a_config, days_later
from tests.builders.agent import folders, run_main

DECISIONS = 80
SEED = 5
What = tuple[str, str | None, str | None, float]


def what(action: ProposedAction) -> What:
    return str(action.type), action.symbol, action.new_symbol, action.size


def from_the_loop(folder: Path) -> tuple[list[What], list[LedgerEntry]]:
    pace = ("--iterations", str(DECISIONS), "--interval", f"{SIX_HOURS_SECONDS:g}", "--seed", str(SEED), "--quiet")
    ended = run_main("--market", "simulated", *pace, *folders(folder))
    assert ended.code == 0, ended.err
    lines = list(read_logged_decisions(folder / "logs"))
    return [what(line.proposed_action) for line in lines], [entry for line in lines for entry in line.ledger]


def from_the_environment() -> list[What]:
    environment = CoveredCallEnv(a_config(seed=SEED), seed=SEED, steps=DECISIONS, step_hours=SIX_HOURS_SECONDS / 3600.0)
    state, done, found = environment.reset(), False, []
    while not done:
        action = decide_action(state, environment.config)
        found.append(what(action))
        state, _, done, _ = environment.step(action)
    return found


def replayed(log_folder: Path) -> Replay:
    log, config = read_log(log_folder), a_config(seed=SEED)
    return decide_again(
        log, decide_action, {run_id: settings_of(points, config, None)[0] for run_id, points in log.runs.items()}
    )


def rounded(entries: list[LedgerEntry]) -> list[tuple[object, ...]]:
    return [(e.entry_type, e.symbol, e.booked_at, round(e.change_coin, 9), round(e.fee_coin, 9)) for e in entries]


def test_the_loop_the_environment_and_the_simulator_are_one_engine(tmp_path: Path) -> None:
    simulator = CoveredCallSimulator(
        a_config(seed=SEED), simulated_setup, NamedPolicy("p", decide_action), Period(end=days_later(60.0))
    )
    result = simulator.run(lambda _, done: simulator.stop() if done == DECISIONS else None)
    decisions, ledger = from_the_loop(tmp_path)
    simulated = [decision.what for decision in result.decisions]
    assert len(simulated) == len(decisions) == DECISIONS
    assert {kind for kind, *_ in simulated} >= {"DO_NOTHING", "OPEN_COVERED_CALL", "ROLL_COVERED_CALL"}
    assert simulated == decisions == from_the_environment()
    booked = [entry for coin in result.coins for entry in coin.ledger]
    assert sorted(rounded(booked), key=repr) == sorted(rounded(ledger), key=repr)
    again = replayed(tmp_path / "logs")
    assert (again.decided, again.changes, again.errors) == (DECISIONS, (), 0)
    for coin in result.coins:
        assert coin.earnings.unexplained_coin == pytest.approx(0.0, abs=1e-9)
