"""`python -m tests.campaign --all`: every suite of the campaign, its figures beside what they must be, as one table.

In: how much of each suite. Out: rows (figure, must be, measured) that `figures.json` keeps and README.md shows. The
schedules use two processes; after them the other suites run two at a time, each in a process of its own whose
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
from tests.campaign import bad_input, canary_runs, fuzz, kills, mutants, network_guard
from tests.campaign.defects import DEFECTS
from tests.campaign.figures import PROJECT, Figures, fired_by_row, percentile

KILLS, FUZZED_REPLIES, DEFECT_SCHEDULES = 1_000, 200_000, 200
DRY_RUN_TEST = "tests/test_network_guard.py"


@dataclass(frozen=True)
class Row:
    """One figure of the issue's table."""

    figure: str
    must_be: str
    measured: str


Suite = Callable[[], dict[str, str]]


def other_suites() -> dict[str, str]:
    """Kills, defects, fuzz, bad input, canary, network: what each measured, by name; `seconds` of all."""
    started = time.monotonic()
    measured: dict[str, str] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_begin) as pool:
        for found in pool.map(_run, (_defects, _kills, _fuzz, _canary, _bad_input, _dry_run)):
            measured |= found
    return measured | {"seconds": f"{time.monotonic() - started:.0f}"}


def _begin() -> None:
    config.ENV_FILE = None
    network_guard.install()


def _run(suite: Suite) -> dict[str, str]:
    before = len(network_guard.outside)
    return suite() | {f"outside in {suite.__name__}": str(len(network_guard.outside) - before)}


def _kills() -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        report = kills.run_kills(Path(folder), KILLS, seed=1)
    clean = "" if report.is_clean else f" ({len(report.violations)} violations)"
    return {
        "kills": f"{report.duplicates}, {report.unlogged}, {report.unparsable} of {report.kills}{clean}",
        "orders among kills": str(report.accepted),
    }


def _defects() -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="defects-") as folder:
        verdicts = [mutants.hunt(defect, 1, DEFECT_SCHEDULES, Path(folder) / "run") for defect in DEFECTS.values()]
    missed = [verdict.defect.name for verdict in verdicts if not verdict.caught_by]
    caught = f"{len(verdicts) - len(missed)} of {len(verdicts)}" + (f", not {', '.join(missed)}" if missed else "")
    return {"defects": caught, "slowest defect": str(max(verdict.schedules for verdict in verdicts))}


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


def rows_of(figures: Figures, measured: Mapping[str, str]) -> list[Row]:
    """The table of what was promised, with what came out."""
    fired = fired_by_row(figures)
    enough = sum(fires >= 50 for fires in fired.values())
    same = "not run" if figures.hashes_same is None else "{} of {}".format(*figures.hashes_same)
    unexpected = sum("I24" in line for result in figures.violated for line in result.violations)
    outside = sum(int(count) for name, count in measured.items() if name.startswith("outside in"))
    minutes = (figures.wall_seconds + float(measured.get("seconds", 0))) / 60.0
    broken = sum(any(line.startswith("I11") for line in result.violations) for result in figures.violated)
    return [
        Row("safety violations in 10,000 schedules", "0", f"{len(figures.violated)} in {figures.schedules:,}"),
        Row("same seed, same hashes", "100 of 100", same),
        Row(
            "SIGKILLs: duplicate orders, unlogged orders, lines that do not parse",
            "0, 0, 0 of 1,000",
            measured["kills"],
        ),
        Row("unresolved intents three healthy iterations after the last fault", "0", str(broken)),
        Row(
            "process exits from transient faults in 500,000 simulated iterations",
            "0",
            f"{unexpected} in {figures.iterations:,}",
        ),
        Row(
            "sends per label; attempts per read; requests per iteration in the worst storm",
            "1; at most 3; at most 40",
            f"1; at most 3 (I7, I25 silent); {max(figures.requests)} (p99 {percentile(figures.requests, 99)})",
        ),
        Row("catalogue rows fired at least 50 times each", "114", f"{enough} of {len(fired)}"),
        Row(
            "seeded defects caught within 200 schedules",
            "15 of 15",
            f"{measured['defects']} (slowest after {measured['slowest defect']})",
        ),
        Row("bad-input rows with the exact reason", "69 of 69", measured["bad input"]),
        Row("fuzzed replies: uncaught exceptions, orders sent", "0, 0 of 200,000", measured["fuzz"]),
        Row(
            "canary hits; connects outside loopback; private requests leaving a dry run",
            "0; 0; 0",
            f"{measured['canary']} ({measured['canary runs']}); {outside}; {measured['dry run']}",
        ),
        Row(
            "the whole campaign on two cores",
            "at most 20 minutes",
            f"{minutes:.0f} minutes ({figures.wall_seconds / 60.0:.0f} of them the schedules)",
        ),
    ]
