"""Where an iteration in process spends its time, and what this machine needs for the bare arithmetic of a chain.

In: an agent on a simulated market, a number of iterations. Out: one line a phase, as a share of the iteration, measured
by cProfile; the CPU that the models of its lines need by themselves; milliseconds of CPU for the Black-76 deltas of a
thousand options as columns.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Iterator, Sequence
from time import process_time

import numpy as np
from pydantic import BaseModel

from agent_loop import log_iteration, run_iteration
from cli.assembly import Agent
from core.pricing import live_call_delta
from execution import execute_action
from logging_utils import IterationRecord
from policies.call import ask_policy, own_copy
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
    profile, records = cProfile.Profile(), list[IterationRecord]()
    for _ in range(iterations):
        records.append(profile.runcall(run_iteration, agent))
        agent.clock.wait_for_next(interval_seconds)
    taken = pstats.Stats(profile).stats  # type: ignore[attr-defined] # typeshed does not know it
    by_code = {(file, line): cumulative for (file, line, _), (_, _, _, cumulative, _) in taken.items()}
    whole = by_code[_place(run_iteration)]
    for phase in PHASES:
        print(f"  {phase.__name__}: {100.0 * by_code.get(_place(phase), 0.0) / whole:.0f} % of an iteration")
    print(f"  its models alone, made, copied and written: {_models_ms(records):.2f} ms CPU")


def _models_ms(records: Sequence[IterationRecord]) -> float:
    """What no way of computing their values can save, an iteration: with warm caches, so the least."""
    models = [(type(model), dict(vars(model))) for record in records for model in _models_in(record)]
    started = process_time()
    for kind, values in models:
        kind(**values)
    for record in records:
        if record.agent_state is not None:
            own_copy(record.agent_state)
        record.model_dump_json()
    return (process_time() - started) / len(records) * 1000.0


def _models_in(value: object) -> Iterator[BaseModel]:
    """A model and all those it is made of."""
    if isinstance(value, tuple):
        yield from (model for part in value for model in _models_in(part))
    if isinstance(value, BaseModel):
        yield from _models_in(tuple(vars(value).values()))
        yield value


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
