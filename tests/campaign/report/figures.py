"""The result of a campaign: sums over all schedules, the table people read, the JSON that is committed.

In: Results. Out: Figures; text; `figures.json`. Coverage belongs to it: a row of the catalogue, or a pair of transport
fault and call site, that fired fewer than FEWEST times is a failure of the campaign itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaign.faults.catalogue import ROWS, transport_pairs
from tests.campaign.report.runner import Result

PROJECT = Path(__file__).resolve().parents[3]
CODE_ROOMS = ("cli", "core", "deribit", "orders", "paper_exchange", "policies")
FIGURES_FILE = Path(__file__).with_name("figures.json")
FEWEST = 50
RARE_STATES = (
    *("roll started", "roll finished", "settled in the money", "settled out of the money", "partly filled"),
    *("killed in a roll", "late arrival refused", "torn tail healed", "power cut lost bytes"),
    *("log given up for a new one", "reducing", "halted", "order resolved_absent", "order resolved_present"),
)


@dataclass
class Figures:
    """Sums of one campaign."""

    seed: int
    first: int = 0
    schedules: int = 0
    violated: list[Result] = field(default_factory=list)
    fired: Counter[tuple[str, str]] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    requests: Counter[int] = field(default_factory=Counter)  # of an iteration
    look_requests: Counter[int] = field(default_factory=Counter)  # of a look at orders that rest
    converged: Counter[int] = field(default_factory=Counter)
    not_converged: int = 0
    events: int = 0
    iterations: int = 0
    lives: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    hashes_same: tuple[int, int] | None = None  # how many of how many

    def add(self, result: Result) -> None:
        self.schedules += 1
        if result.violations:
            self.violated.append(result)
        self.fired.update(result.fired)
        self.reached.update(result.reached)
        self.ends.update(result.ends)
        self.decided.update(result.decided)
        self.requests.update(result.requests_by_iteration)
        self.look_requests.update(result.requests_by_look)
        self.events += result.events
        self.iterations += result.iterations
        self.lives += result.lives
        self.cpu_seconds += result.cpu_seconds
        if result.iterations_to_converge is None:
            self.not_converged += 1
        else:
            self.converged[result.iterations_to_converge] += 1

    def count(self, scenario_fires: Mapping[str, int]) -> None:
        """What the scenarios fired."""
        self.fired.update({(row, "scenario"): fires for row, fires in scenario_fires.items()})


# --- coverage ------------------------------------------------------------------------


def fired_by_row(figures: Figures) -> dict[str, int]:
    """How often each row of the catalogue fired, at all its sites together."""
    sums = Counter(dict.fromkeys(ROWS, 0))
    for (row, _), fires in figures.fired.items():
        sums[row] += fires
    return dict(sums)


def rows_below(figures: Figures, fewest: int = FEWEST) -> list[str]:
    return [f"{row} {fires}" for row, fires in fired_by_row(figures).items() if fires < fewest]


def pairs_below(figures: Figures, fewest: int = FEWEST) -> list[str]:
    """Transport faults at call sites that they hardly ever met."""
    pairs = ((row, site, figures.fired[(row, site)]) for row, site in transport_pairs())
    return [f"{row} at {site} {fires}" for row, site, fires in pairs if fires < fewest]


def states_missed(figures: Figures) -> list[str]:
    return [state for state in RARE_STATES if figures.reached[state] == 0]


# --- printing ------------------------------------------------------------------------------


def table(figures: Figures) -> str:
    """The figures as people want them."""
    violated = len(figures.violated)
    same = "not asked for" if figures.hashes_same is None else "{} of {}".format(*figures.hashes_same)
    rows = fired_by_row(figures)
    enough = sum(fires >= FEWEST for fires in rows.values())
    lines = [
        ("schedules", f"{figures.schedules} (seed {figures.seed}, from {figures.first})"),
        ("schedules with a safety violation", f"{violated}{_bound(figures)}"),
        ("simulated iterations, ledger events checked", f"{figures.iterations}, {figures.events}"),
        ("lives, and how they ended", f"{figures.lives}: {_counts(figures.ends)}"),
        ("same seed, same hashes", same),
        ("healthy iterations to converge, p50 / p99 / max", _percentiles(figures.converged)),
        ("schedules that did not converge", str(figures.not_converged)),
        ("requests per iteration, p50 / p99 / max", _percentiles(figures.requests)),
        ("requests per look at orders that rest", _percentiles(figures.look_requests)),
        ("catalogue rows fired at least 50 times", f"{enough} of {len(rows)}"),
        ("pairs of transport fault and call site below 50", str(len(pairs_below(figures)))),
        ("wall time, CPU per schedule", f"{figures.wall_seconds:.0f} s, {_cpu(figures):.2f} s"),
    ]
    lines += sorted((name, str(count)) for name, count in figures.decided.items())
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _bound(figures: Figures) -> str:
    if figures.violated or figures.schedules == 0:
        return ""
    return f" (95 % upper bound {300.0 / figures.schedules:.3g} %)"


def _cpu(figures: Figures) -> float:
    return figures.cpu_seconds / max(1, figures.schedules)


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items(), key=lambda item: -item[1]))


def _percentiles(counted: Mapping[int, int]) -> str:
    if not counted:
        return "-"
    return " / ".join(str(value) for value in (percentile(counted, 50), percentile(counted, 99), max(counted)))


def percentile(counted: Mapping[int, int], percent: float) -> int:
    """The smallest value that at least so many percent do not exceed."""
    total, so_far = sum(counted.values()), 0
    for value in sorted(counted):
        so_far += counted[value]
        if 100.0 * so_far >= percent * total:
            return value
    return max(counted)


# --- the committed file ---------------------------------------------------------------------------


def as_json(figures: Figures) -> dict[str, Any]:
    """Everything but the times, which differ from machine to machine, and the times too, under a name of their own."""
    return {
        "schedules": figures.schedules,
        "seed": figures.seed,
        "indices": [figures.first, figures.first + figures.schedules - 1],
        "code_sha256": code_hash(),
        "violations": len(figures.violated),
        "violations_upper_bound_95_pct": None if figures.violated else 300.0 / max(1, figures.schedules),
        "violated": {result.name: list(result.violations) for result in figures.violated[:20]},
        "iterations": figures.iterations,
        "ledger_events_checked": figures.events,
        "lives": figures.lives,
        "ends": dict(figures.ends),
        "iterations_to_converge": _spread(figures.converged),
        "not_converged": figures.not_converged,
        "requests_per_iteration": _spread(figures.requests),
        "requests_per_look": _spread(figures.look_requests),
        "hashes_same": figures.hashes_same,
        "fired_by_row": fired_by_row(figures),
        "rows_below_50": rows_below(figures),
        "pairs_below_50": pairs_below(figures),
        "rare_states": dict(sorted(figures.reached.items())),
        "times": {
            "wall_seconds": round(figures.wall_seconds, 1),
            "cpu_seconds_per_schedule": round(_cpu(figures), 3),
            "schedules_per_second": round(figures.schedules / max(1e-9, figures.wall_seconds), 2),
        },
    }


def _spread(counted: Mapping[int, int]) -> dict[str, int] | None:
    if not counted:
        return None
    return {"p50": percentile(counted, 50), "p99": percentile(counted, 99), "max": max(counted)}


def write_json(figures: Figures, rows: Sequence[Any] = (), path: Path = FIGURES_FILE) -> None:
    """All figures; `rows` are those of the table in tests/campaign/README.md."""
    table_rows = [[row.figure, row.must_be, row.measured] for row in rows]
    path.write_text(json.dumps(as_json(figures) | {"table": table_rows}, indent=1) + "\n")


def committed_table() -> str:
    """The table of figures.json as tests/campaign/README.md shows it."""
    rows = json.loads(FIGURES_FILE.read_text())["table"]
    lines = ["| figure | must be | measured |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines) + "\n"


def code_hash() -> str:
    """SHA-256 over the agent's and the paper exchange's own files."""
    digest = hashlib.sha256()
    for path in sorted(
        [*PROJECT.glob("*.py"), *(path for room in CODE_ROOMS for path in PROJECT.glob(f"{room}/**/*.py"))]
    ):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
