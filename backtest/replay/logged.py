"""The states of a log, read once and kept, with the settings that each of its runs was decided with.

In: the files of decision logs, today's settings. Out: a Log: the decisions that have a state, the settings of each run,
and a sentence where they are not known to be those of the log. Reads files.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from cli.assembly import config_hash
from config import AgentConfig
from core.log_lines.decision_lines import LoggedDecision
from logging_utils import read_logged_decisions
from models import AgentState, LedgerEntry

LONGEST_INTERVAL_SECONDS = 86_400.0


@dataclass(frozen=True)
class Point:
    """A state of the log, and what was decided on it."""

    decision: LoggedDecision
    state: AgentState


@dataclass
class Log:
    """What is kept of a log. `points` are in the order of the files, those of a run one after another."""

    points: list[Point] = field(default_factory=list)
    without_state: int = 0
    ledger: list[LedgerEntry] = field(default_factory=list)

    @property
    def runs(self) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        for point in self.points:
            found.setdefault(point.decision.run_id, []).append(point)
        return found


def read_log(pattern: str | Path) -> Log:
    """All of a log that can be decided again; FileNotFoundError where there is no file."""
    log = Log()
    with no_garbage():
        for decision in read_logged_decisions(log_of_run(pattern)):
            log.ledger.extend(decision.ledger)
            if decision.agent_state is None:
                log.without_state += 1
            else:
                log.points.append(Point(decision, decision.agent_state))
    return log


def log_of_run(pattern: str | Path) -> str | Path:
    """Of the folder of a backtest the log it holds; anything else as it is."""
    folder = Path(pattern)
    return folder / "logs" if (folder / "summary.json").is_file() else pattern


@contextmanager
def no_garbage() -> Iterator[None]:
    """Models have no cycles: looking for some among a million of their parts costs more than reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settings_of(
    points: Sequence[Point], config: AgentConfig, interval_seconds: float | None
) -> tuple[AgentConfig, bool]:
    """The settings a run was decided with, and whether its hash says so.

    Known from the log are its market, coins, seed, fills and policy; the interval (which decides whose turn it is) is
    the one most often seen between two lines, unless it is given. All else is as it is set today.
    """
    first = points[0].decision
    coins = {market.underlying for market in points[0].state.markets}
    intervals = [interval_seconds] if interval_seconds else [config.run.interval_seconds, *_intervals(points)]
    market = config.at_market(first.market).without_coins_beyond(coins)
    known: dict[str, Any] = {"seed": points[0].state.seed, "policy": first.policy, "fills": first.fills}
    for interval, is_dry, records_chains in product(intervals, (False, True), (False, True)):
        run = known | {"interval_seconds": interval, "dry_run": is_dry, "record_chains": records_chains}
        guess = market.model_copy(update={"run": market.run.model_copy(update=run)})
        if config_hash(guess) == first.config_hash:
            return guess, True
    run = known | {"interval_seconds": intervals[-1]}
    return market.model_copy(update={"run": market.run.model_copy(update=run)}), False


def _intervals(points: Sequence[Point]) -> Iterable[float]:
    """The usual time between two decisions; none of a log of one."""
    gaps = Counter(
        round((later.state.timestamp - earlier.state.timestamp).total_seconds(), 3)
        for earlier, later in pairwise(points)
    )
    usual = [seconds for seconds, _ in gaps.most_common(1) if 1.0 <= seconds <= LONGEST_INTERVAL_SECONDS]
    return [float(round(seconds)) for seconds in usual]
