"""The catalogue rows that need a real process, a real socket or a real file, by their ids.

In: nothing. Out: SCENARIOS, each a function of a seed and an empty folder that raises AssertionError where the agent
does not do what the row demands. The test run sees every variant of each once; `run_scenarios` is the campaign's part:
the rows that no schedule can draw, many times, counted.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from tests.campaign.faults.catalogue import ROWS
from tests.campaign.live.log_rows import LOG_SCENARIOS
from tests.campaign.live.process_rows_live import LIVE_SCENARIOS
from tests.campaign.live.run_rows import RUN_SCENARIOS
from tests.campaign.live.wire_rows import WIRE_SCENARIOS

SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    **WIRE_SCENARIOS,
    **LIVE_SCENARIOS,
    **LOG_SCENARIOS,
    **RUN_SCENARIOS,
}
TIMES, TIMES_IN_SHORT = 50, 2


@dataclass
class Outcome:
    """What the scenarios came to."""

    fires: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def run_scenarios(times: int, jobs: int) -> Outcome:
    """The rows that only a scenario can fire, so often each; every time with another seed."""
    tasks = list(product([row.id for row in ROWS.values() if row.how == "scenario"], range(times)))
    outcome = Outcome()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for (row, seed), problem in zip(tasks, pool.map(problem_of, *zip(*tasks, strict=True)), strict=True):
            if problem is None:
                outcome.fires[row] = outcome.fires.get(row, 0) + 1
            else:
                outcome.problems.append(f"{row}, seed {seed}: {problem}")
    return outcome


def problem_of(row: str, seed: int) -> str | None:
    """One scenario in a temporary folder: what was not as expected."""
    with tempfile.TemporaryDirectory(prefix=f"{row.lower()}-") as folder:
        try:
            SCENARIOS[row](seed, Path(folder))
        except AssertionError as problem:
            return str(problem)
    return None
