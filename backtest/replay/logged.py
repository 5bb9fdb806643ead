"""The states of a log, read once and kept.

In: the files of decision logs. Out: a Log: the decisions that have a state, run by run. Reads files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.log_lines.decision_lines import LoggedDecision
from logging_utils import read_logged_decisions
from models import AgentState, LedgerEntry
from policies.garbage import no_garbage


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
    ledgers: dict[str, list[LedgerEntry]] = field(default_factory=dict)  # by run

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
            log.ledgers.setdefault(decision.run_id, []).extend(decision.ledger)
            if decision.agent_state is None:
                log.without_state += 1
            else:
                log.points.append(Point(decision, decision.agent_state))
    return log


def log_of_run(pattern: str | Path) -> str | Path:
    """Of the folder of a backtest the log it holds; anything else as it is."""
    folder = Path(pattern)
    return folder / "logs" if (folder / "summary.json").is_file() else pattern
