"""`python -m tests.campaign --all`: every suite of the campaign, its figures beside what they must be, as one table.

In: how much of each suite. Out: rows (figure, must be, measured) that `figures.json` keeps and the README beside it
shows. The schedules use two processes; after them the other suites share three (kills mostly wait), in which
connects outside this machine are refused and counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import config
from tests.campaign.bad_input import rows as bad_input
from tests.campaign.canary import canary_runs, network_guard
from tests.campaign.defects import mutants
from tests.campaign.defects.defects import DEFECTS
from tests.campaign.fuzz import fuzz
from tests.campaign.kills import kills
from tests.campaign.kills.kills import LEAST_ORDERS_PER_KILL
from tests.campaign.report.figures import PROJECT, Figures, fired_by_row, percentile

KILLS, FUZZED_REPLIES, DEFECT_SCHEDULES = 1_000, 200_000, 200
DRY_RUN_TEST = "tests/guards/test_network_guard.py"


@dataclass(frozen=True)
class Row:
    """One figure of the table."""

    figure: str
    must_be: str
    measured: str


Suite = Callable[[], dict[str, str]]


def other_suites(started: float) -> dict[str, str]:
    """Kills, defects, fuzz, bad input, canary, network: what each measured, by name; `seconds` since `started`."""
    measured: dict[str, str] = {}
    suites = (_kills_first, _kills_second, _defects_first, _defects_second, _fuzz, _canary, _bad_input, _dry_run)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn"), initializer=_begin) as pool:
        for found in pool.map(_run, suites):
            measured |= found
    return measured | {"seconds": f"{time.monotonic() - started:.0f}"}


def _begin() -> None:
    config.ENV_FILE = None
    network_guard.install()


def _run(suite: Suite) -> dict[str, str]:
    before = len(network_guard.outside)
    return suite() | {f"outside in {suite.__name__}": str(len(network_guard.outside) - before)}


def _kills_first() -> dict[str, str]:
    return _kills(seed=1)


def _kills_second() -> dict[str, str]:
    return _kills(seed=2)


def _kills(seed: int) -> dict[str, str]:
    """Half of the kills."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        report = kills.run_kills(Path(folder), KILLS // 2, seed)
    counts = {
        "kills": report.kills,
        "duplicates": report.duplicates,
        "unlogged": report.unlogged,
        "unparsable": report.unparsable,
        "other breaches": len(report.violations) + len(report.ended_by_themselves) + report.zombies,
        "orders among kills": report.accepted,
    }
    return {f"{name} {seed}": str(count) for name, count in counts.items()}


def _defects_first() -> dict[str, str]:
    return _defects(0)


def _defects_second() -> dict[str, str]:
    return _defects(1)


def _defects(half: int) -> dict[str, str]:
    """Every second defect; which were not noticed, and the most schedules that any of them took."""
    wanted = list(DEFECTS.values())[half::2]
    with tempfile.TemporaryDirectory(prefix="defects-") as folder:
        verdicts = [mutants.hunt(defect, 1, DEFECT_SCHEDULES, Path(folder) / "run") for defect in wanted]
    missed = [verdict.defect.name for verdict in verdicts if not verdict.caught_by]
    return {
        f"defects {half}": str(len(verdicts)),
        f"defects caught {half}": str(len(verdicts) - len(missed)),
        f"missed {half}": ", ".join(missed),
        f"slowest defect {half}": str(max(verdict.schedules for verdict in verdicts)),
    }


def _fuzz() -> dict[str, str]:
    figures = fuzz.run(FUZZED_REPLIES, seed=1)
    in_agent = sum(finding.call.startswith("agent") for finding in figures.findings)
    return {"fuzz": f"{len(figures.findings) - in_agent}, {in_agent} of {figures.replies}"}


def _canary() -> dict[str, str]:
    runs, megabytes, found = canary_runs.search_all()
    return {"canary": str(len(found)), "canary runs": f"{runs} runs, {megabytes:.1f} MB"}


def _bad_input() -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="bad-input-") as folder:
        results = bad_input.run_all(Path(folder))
    return {"bad input": f"{sum(results.values())} of {len(results)}"}


def _dry_run() -> dict[str, str]:
    """The dry run's own tests count what leaves: anything but the listed public reads fails them."""
    command = [sys.executable, "-m", "pytest", "-q", DRY_RUN_TEST]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    return {"dry run": "0" if done.returncode == 0 else f"{DRY_RUN_TEST} fails"}


def problems_of(measured: Mapping[str, str]) -> list[str]:
    """What is not as it must be."""
    missed = [name for half in (0, 1) if (name := measured[f"missed {half}"])]
    counts = {
        name: _summed(measured, name)
        for name in ("duplicates", "unlogged", "unparsable", "other breaches", "outside in")
        if _summed(measured, name)
    }
    if _summed(measured, "kills") < KILLS or _summed(measured, "orders among kills") < KILLS * LEAST_ORDERS_PER_KILL:
        counts["kills"] = _summed(measured, "kills")
        counts["orders among kills"] = _summed(measured, "orders among kills")
    wanted = {"fuzz": "0, 0 of", "canary": "0", "bad input": "69 of 69", "dry run": "0"}
    others = {
        name: measured[name] for name, value in wanted.items() if not f"{measured[name]} ".startswith(f"{value} ")
    }
    return [f"not caught: {name}" for name in missed] + [f"{name}: {told}" for name, told in (counts | others).items()]


def rows_of(figures: Figures, measured: Mapping[str, str]) -> list[Row]:
    """The table of what was promised, with what came out."""
    fired = fired_by_row(figures)
    enough = sum(fires >= 50 for fires in fired.values())
    same = "not run" if figures.hashes_same is None else "{} of {}".format(*figures.hashes_same)
    unexpected = sum("I24" in line for result in figures.violated for line in result.violations)
    minutes = float(measured["seconds"]) / 60.0
    broken = sum(any(line.startswith("I11") for line in result.violations) for result in figures.violated)
    return [
        Row(
            "safety violations in 10,000 schedules",
            "0",
            f"{len(figures.violated)} in {figures.schedules:,} ({figures.events:,} ledger events)",
        ),
        Row("same seed, same hashes", "100 of 100", same),
        Row(
            "SIGKILLs: duplicate orders, unlogged orders, lines that do not parse",
            "0, 0, 0 of 1,000",
            _killed(measured),
        ),
        Row("unresolved intents three healthy iterations after the last fault", "0", str(broken)),
        Row(
            "process exits from transient faults in 500,000 simulated iterations",
            "0",
            f"{unexpected} in {figures.iterations:,}",
        ),
        Row(
            "sends per label; attempts per read; requests per iteration, per look in the worst storm",
            "1; at most 3; at most 60, 60",
            f"{_sends(figures)}; {_most(figures.requests)}, {_most(figures.look_requests)}",
        ),
        Row("catalogue rows fired at least 50 times each", f"{len(fired)}", f"{enough} of {len(fired)}"),
        Row(
            "seeded defects caught within 200 schedules",
            f"{len(DEFECTS)} of {len(DEFECTS)}",
            _caught(measured),
        ),
        Row("bad-input rows with the exact reason", "69 of 69", measured["bad input"]),
        Row("fuzzed replies: uncaught exceptions, orders sent", "0, 0 of 200,000", measured["fuzz"]),
        Row(
            "canary hits; connects outside loopback; private requests leaving a dry run",
            "0; 0; 0",
            f"{measured['canary']} ({measured['canary runs']}); {_summed(measured, 'outside in')}; "
            f"{measured['dry run']}",
        ),
        Row(
            "the whole campaign on two cores",
            "at most 20 minutes",
            f"{minutes:.0f} minutes ({figures.wall_seconds / 60.0:.0f} of them the schedules)",
        ),
    ]


def _sends(figures: Figures) -> str:
    """I7 and I25 count the sends of each label and the attempts of each read, and speak where there are more."""
    spoke = {line.partition(":")[0] for result in figures.violated for line in result.violations} & {"I7", "I25"}
    return f"{' and '.join(sorted(spoke))} broken" if spoke else "1; at most 3"


def _most(requests: Mapping[int, int]) -> str:
    """The most requests, and what 99 of 100 do not exceed; of a campaign in which no order rested nothing is said."""
    return f"{max(requests)} (p99 {percentile(requests, 99)})" if requests else "none"


def _summed(measured: Mapping[str, str], beginning: str) -> int:
    return sum(int(count) for name, count in measured.items() if name.rpartition(" ")[0] == beginning)


def _killed(measured: Mapping[str, str]) -> str:
    counts = [_summed(measured, name) for name in ("duplicates", "unlogged", "unparsable")]
    others = _summed(measured, "other breaches")
    text = f"{', '.join(map(str, counts))} of {_summed(measured, 'kills'):,}"
    return text + (f" ({others} other breaches)" if others else "")


def _caught(measured: Mapping[str, str]) -> str:
    missed = ", ".join(name for half in (0, 1) if (name := measured[f"missed {half}"]))
    slowest = max(int(measured[f"slowest defect {half}"]) for half in (0, 1))
    text = f"{_summed(measured, 'defects caught')} of {_summed(measured, 'defects')} (slowest after {slowest})"
    return text + (f", not {missed}" if missed else "")
