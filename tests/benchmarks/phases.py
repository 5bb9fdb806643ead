"""Where an iteration in process spends its time, and what this machine needs for the bare arithmetic of a chain.

In: an agent on a simulated market, a number of iterations. Out: one line a phase, as a share of the iteration, measured
by cProfile; milliseconds of CPU for the Black-76 deltas of a thousand options as columns.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from time import process_time

import numpy as np

from agent_loop import log_iteration, run_iteration
from cli.assembly import Agent
from core.pricing import live_call_delta
from execution import execute_action
from policies.call import ask_policy
from risk_engine import check_action_allowed
from state_builder import assemble_state, fetch

PHASES: tuple[Callable[..., object], ...] = (
    fetch,
    assemble_state,
    ask_policy,
    check_action_allowed,
    execute_action,
    log_iteration,
)
OPTIONS = 1_000
ROUNDS = 40


def print_phases(agent: Agent, iterations: int, interval_seconds: float) -> None:
    """The share of each phase; what is not named here is the time between them."""
    profile = cProfile.Profile()
    for _ in range(iterations):
        profile.runcall(run_iteration, agent)
        agent.clock.wait_for_next(interval_seconds)
    taken = pstats.Stats(profile).stats  # type: ignore[attr-defined] # typeshed does not know it
    by_code = {(file, line): cumulative for (file, line, _), (_, _, _, cumulative, _) in taken.items()}
    whole = by_code[_place(run_iteration)]
    for phase in PHASES:
        print(f"  {phase.__name__}: {100.0 * by_code.get(_place(phase), 0.0) / whole:.0f} % of an iteration")


def _place(function: Callable[..., object]) -> tuple[str, int]:
    code = function.__code__
    return code.co_filename, code.co_firstlineno


def black76_ms() -> float:
    """The delta of OPTIONS calls at once, the median of ROUNDS rounds."""
    strikes_usd = np.linspace(50_000.0, 150_000.0, OPTIONS)
    forwards_usd, ivs, years = np.full(OPTIONS, 100_000.0), np.full(OPTIONS, 0.5), np.full(OPTIONS, 0.1)
    taken = []
    for _ in range(ROUNDS):
        started = process_time()
        live_call_delta(forwards_usd, strikes_usd, ivs, years)
        taken.append(process_time() - started)
    return sorted(taken)[ROUNDS // 2] * 1000.0
