"""The same run twice: through DeribitClient on the wire, and through the client in process. What differs, if anything.

In: a market made anew for each side, a policy, a number of iterations. Out: for each iteration what it came to (the
record but for what only a wire has, the lines of the order log, the account), or the first difference as text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from agent_loop import run_iteration
from cli.assembly import Agent, agent_from_parts
from config import AgentConfig
from core.breaker import Breaker
from deribit.kill_file import kill_note_of
from deribit_client import DeribitClient
from logging_utils import RunInfo
from models import ActionType, AgentState, ExchangeClient, ProposedAction
from orders.order_log import OrderMemory
from paper_exchange.in_process.client import InProcessClient
from paper_exchange.setups import Setup
from policies.call import Policy

NEVER_LISTED = "BTC-1JAN20-1-C"
MakeSetup = Callable[[], Setup]
ONLY_ON_A_WIRE = {"duration_ms", "request_count", "api_responses"}
RUN = RunInfo("both-0001", "simulated", "simulated", "a_test", "config", "policy")


class KeptLines(OrderMemory):
    """An order log in memory that keeps its lines too."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def write(self, record: Mapping[str, Any]) -> None:
        self.lines.append(dict(record))
        super().write(record)

    def note(self, record: Mapping[str, Any]) -> str | None:
        self.lines.append(dict(record))
        return super().note(record)


class _NoLog:
    """Records are compared as they are; nothing is written."""

    def write_line(self, text: str) -> None:
        """Forget the line."""


@dataclass
class Side:
    """One of the two runs. `defect` is in place while this side iterates, and only then."""

    setup: Setup
    agent: Agent
    order_log: KeptLines
    defect: Callable[[], AbstractContextManager[None]] = nullcontext

    def iterations(self, count: int, interval_seconds: float) -> Iterator[dict[str, Any]]:
        """What each iteration came to, up to the end of the market."""
        for _ in range(count):
            self.agent.trading.breaker = Breaker()  # forbidden actions are tried again and again
            with self.defect():
                outcome = self._iterate()
            yield outcome
            if not self.agent.clock.wait_for_next(interval_seconds):
                return

    def _iterate(self) -> dict[str, Any]:
        self.order_log.lines.clear()
        record = run_iteration(self.agent)
        plain = record.model_dump(exclude=ONLY_ON_A_WIRE)
        return {**plain, "order_log": self.order_log.lines[:], "account": self.setup.account.to_json()}


def on_the_wire(make_setup: MakeSetup, config: AgentConfig, policy: Policy) -> Side:
    """The agent with DeribitClient: HTTP and JSON, but no socket."""
    setup, order_log = make_setup(), KeptLines()
    key = ("paper", "paper")
    client = DeribitClient(config, transport=setup.transport, clock=setup.clock, order_log=order_log, credentials=key)
    return _side(setup, client, config, policy, order_log)


def in_process(make_setup: MakeSetup, config: AgentConfig, policy: Policy) -> Side:
    """The agent with the paper exchange's own client."""
    setup, order_log = make_setup(), KeptLines()
    client = InProcessClient(setup.account, config, order_log, lambda: kill_note_of(config))
    return _side(setup, client, config, policy, order_log)


def _side(setup: Setup, client: ExchangeClient, config: AgentConfig, policy: Policy, order_log: KeptLines) -> Side:
    agent = agent_from_parts(config, client, policy, order_log, _NoLog(), RUN)
    return Side(setup, agent, order_log)


def first_difference(wire: Side, process: Side, iterations: int, interval_seconds: float) -> str | None:
    """Where the two runs first part, None where they are equal to the end."""
    runs = (side.iterations(iterations, interval_seconds) for side in (wire, process))
    for number, (one, other) in enumerate(zip_longest(*runs), start=1):
        place = _difference(one, other)
        if place is not None:
            return f"iteration {number}: {place}"
    return None


def _difference(one: Any, other: Any, place: str = "") -> str | None:
    """The first place where two trees of plain values differ, floats in the last bit included."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        found = (_difference(one[key], other[key], f"{place}.{key}") for key in one)
        return next((text for text in found if text is not None), None)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        found = (_difference(*pair, f"{place}[{index}]") for index, pair in pairs)
        return next((text for text in found if text is not None), None)
    return None if one == other else f"{place}: on the wire {one!r}, in process {other!r}"


def random_actions(seed: int) -> Policy:
    """A policy that proposes anything: good, bad and nonsensical sizes, symbols held, on offer, and neither."""

    def propose(state: AgentState, config: AgentConfig) -> ProposedAction:
        dice = random.Random(f"{seed} {state.timestamp}")
        coin = dice.choice(config.enabled_underlyings)
        held = [position.symbol for position in state.short_calls(coin)]
        offered = [option.symbol for option in state.candidates_for(coin)]
        kind = dice.choice(tuple(ActionType))
        kind = kind if held or dice.random() < 0.2 else ActionType.OPEN_COVERED_CALL
        good = (offered if kind == ActionType.OPEN_COVERED_CALL else held) or [NEVER_LISTED]
        new_symbol = dice.choice([*offered, *offered, *offered, *held, NEVER_LISTED])
        step = 0.1 if coin == "BTC" else 1.0
        return ProposedAction(
            type=kind,
            underlying=coin,
            symbol=dice.choice([*good, *good, *good, *held, *offered, NEVER_LISTED]),
            new_symbol=new_symbol if kind == ActionType.ROLL_COVERED_CALL or dice.random() < 0.05 else None,
            size=round(step * dice.randint(1, 4), 8) + dice.choice((0.0, 0.0, 0.0, 0.0, 0.05)),
            reason="drawn",
        )

    return propose
