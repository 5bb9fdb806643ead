"""One life of the agent in a process of its own: real sockets, real files, real locks, a clock that runs faster.

In: a LifePlan, handed over by multiprocessing. Out: whatever the agent does, until the parent kills it (an exit code
where it ends by itself: the agent's own, or 1 with a traceback in the output file). `decide_action` is the policy of
these lives: it always wants to trade, so that a kill hits the middle of an order. Talks to the parent's exchange.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import closing
from ctypes import c_double
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import agent_loop
import execution  # noqa: F401
from cli import (
    assembly,
    console,  # noqa: F401 - imported here once, so that no life has to
    locks,
)
from cli.arguments import parse_arguments
from config import AgentConfig
from core.pricing import floor_to_step
from models import ActionType, AgentError, AgentState, CandidateOption, OptionPosition, ProposedAction, Underlying
from tests.builders.clocks import SharedClock, shared_seconds
from tests.builders.configs import loose_config
from tests.campaign.canary import network_guard

OUTPUT_NAME = "output.txt"
OUTSIDE_NAME = "outside.txt"  # every attempt to reach another machine; no such file where there was none
MIN_DTE_DAYS = 20.0 / (24.0 * 60.0)  # nearer to its expiry than this an option is left alone
OPEN_SHARE = 0.45  # of the decisions that could open; the others roll or close where there is something to
STEP_COIN: dict[Underlying, float] = {"BTC": 0.1, "ETH": 1.0}


@dataclass(frozen=True)
class LifePlan:
    """What a life is told. `local_start` is the child's own clock, which is not the exchange's."""

    number: int
    url: str
    folder: Path
    local_start: datetime
    speed: float
    iterations: int | None = None
    is_quiet: bool = False
    leapt_seconds: c_double | None = None  # shared with the exchange


def live(plan: LifePlan) -> None:
    """The whole process; its output goes to a file in the folder."""
    output = os.open(plan.folder / OUTPUT_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    network_guard.install(plan.folder / OUTSIDE_NAME)
    try:
        code = _run(plan)
    except AgentError as error:
        print(f"ended: {error}", file=sys.stderr, flush=True)
        code = error.exit_code or 1
    sys.exit(code)


def _run(plan: LifePlan) -> int:
    """Locks, agent and loop, as agent_loop.main does it."""
    config = loose_config(plan.url, plan.folder, policy=__name__)
    for folder in (config.run.data_dir, config.run.log_dir):
        locks.take_lock(folder)  # held until the process is gone
    clock = SharedClock(plan.local_start, plan.speed, plan.leapt_seconds or shared_seconds())
    agent = assembly.assemble_agent(config, None, clock, mark=plan.folder / "last_order")
    if plan.is_quiet:
        agent.policy = do_nothing
    arguments = ["--quiet"] if plan.iterations is None else ["--quiet", "--iterations", str(plan.iterations)]
    with closing(agent.client):
        return agent_loop.run_loop(agent, parse_arguments(arguments))


# --- the policy of these lives -------------------------------------------------------------------------


def do_nothing(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """For the quiet iterations after the last kill."""
    return ProposedAction(type=ActionType.DO_NOTHING, reason="a quiet iteration")


def decide_action(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """Open, roll or close, whatever is possible; drawn from the state, so that the same state gives the same action."""
    dice = random.Random(agent_state.decision_id)
    choices = [action for coin in config.enabled_underlyings for action in _choices(agent_state, coin, dice)]
    openings = [action for action in choices if action.type == ActionType.OPEN_COVERED_CALL]
    others = [action for action in choices if action.type != ActionType.OPEN_COVERED_CALL]
    wanted = openings if openings and (not others or dice.random() < OPEN_SHARE) else others
    return dice.choice(wanted) if wanted else do_nothing(agent_state, config)


def _choices(state: AgentState, coin: Underlying, dice: random.Random) -> Iterator[ProposedAction]:
    calls = [call for call in state.candidates_for(coin) if call.dte_days > MIN_DTE_DAYS]
    held = [short for short in state.short_calls(coin) if _can_be_bought(short)]
    risk = state.risk(coin)
    room = 0.0 if risk is None else floor_to_step(risk.room_coin + 1e-9, STEP_COIN[coin])
    if calls and room > 0.0:
        size = min(room, STEP_COIN[coin] * dice.randint(1, 3))
        yield _action(ActionType.OPEN_COVERED_CALL, coin, dice.choice(calls).symbol, size)
    for short in held:
        yield _action(ActionType.CLOSE_COVERED_CALL, coin, short.symbol, short.size)
        later = [call for call in calls if _is_later(call, short)]
        if later:
            yield _action(ActionType.ROLL_COVERED_CALL, coin, short.symbol, short.size, dice.choice(later).symbol)


def _can_be_bought(short: OptionPosition) -> bool:
    return short.dte_days > MIN_DTE_DAYS and short.ask_price_coin is not None


def _is_later(call: CandidateOption, short: OptionPosition) -> bool:
    return call.symbol != short.symbol and call.expiry >= short.expiry


def _action(
    kind: ActionType, coin: Underlying, symbol: str, size: float, new_symbol: str | None = None
) -> ProposedAction:
    largest = STEP_COIN[coin] * 5
    return ProposedAction(
        type=kind,
        underlying=coin,
        symbol=symbol,
        new_symbol=new_symbol,
        size=round(min(size, largest), 8),
        reason="this life wants to trade",
    )
