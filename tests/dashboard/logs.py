"""A whole log of a seeded simulated run, made once: thirty days of decisions, every six hours.

In: a folder. Out: the folder of the log in it, with every kind of decision but those that need a fault.
"""

from __future__ import annotations

from pathlib import Path

from tests.builders.agent import run_main

ITERATIONS = 120


def a_log_of_thirty_days(folder: Path, iterations: int = ITERATIONS) -> Path:
    """The decisions of 120 iterations from 2026-01-05 12:00 UTC on."""
    ended = run_main(
        *("--market", "simulated", "--iterations", str(iterations), "--interval", "21600", "--quiet"),
        *("--log-dir", folder / "logs", "--data-dir", folder / "data"),
    )
    assert ended.code == 0
    return folder / "logs"
