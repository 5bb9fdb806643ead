"""python -m tests.dashboard.fuzz [--requests 20000] [--seed 13]: the dashboard under requests that nobody would send.

In: a number, a seed. Out: how often each status came, and a request of each kind that ended in one of 500; exit code 1
where there was one, or where a file changed outside the lab's folder. A log of a simulated run is made in a folder that
goes away again; the jobs that a request did start are cancelled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from dashboard.lab.jobs import Jobs
from tests.builders.agent import run_main
from tests.dashboard.fuzz.asking import Asked, asked, files_below
from tests.dashboard.fuzz.dice import a_request
from tests.dashboard.pages import a_dashboard

REPORTED = 5
LINES = 12


@dataclass
class Outcome:
    """What came of it. `failed`: requests that ended in one of 500; `changed`: files outside the lab's folder."""

    counts: Counter[int] = field(default_factory=Counter)
    failed: list[Asked] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def fuzzed(folder: Path, requests: int, seed: int) -> Outcome:
    """A dashboard on a log in a folder, asked so many times."""
    arguments = ("--market", "simulated", "--iterations", str(LINES), "--interval", "21600", "--quiet")
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    app, lab = a_dashboard(folder / "logs", folder / "data"), folder / "data" / "dashboard" / "lab"
    before = files_below(folder, but=lab)
    dice, outcome = Random(seed), Outcome()
    known = [b"simulated-0001", b"simulated", b"policy_rule_based", b"simulated-0002", b"20260214-000000"]
    for one in asked(app, (a_request(dice, known) for _ in range(requests))):
        outcome.counts[one.status] += 1
        outcome.failed += [one] if one.status >= 500 and not _may_be_ill(one) else []
    _end_jobs(Jobs(lab))
    after = files_below(folder, but=lab)
    outcome.changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return outcome


def _may_be_ill(one: Asked) -> bool:
    """/health answers 503 to say that the agent is not well: that is its work."""
    return one.request.path == b"/health" and one.status == 503


def _end_jobs(jobs: Jobs) -> None:
    for name in jobs.names():
        jobs.cancel(name)
    jobs.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dashboard.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=13)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzzed(Path(folder), chosen.requests, chosen.seed)
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(found.counts.items()))
    print(f"{chosen.requests} requests, seed {chosen.seed}: {counts}")
    print(f"{len(found.failed)} ended in one of 500; {len(found.changed)} files changed outside the lab's folder")
    kinds = {one.problem.partition("(")[0] + one.problem.rpartition(" in ")[2]: one for one in found.failed}
    for one in kinds.values():
        print(f"  {one.problem[:500]}: {str(one.request)[:1_000]}")
    for name in found.changed[:REPORTED]:
        print(f"  {name}")
    return 1 if found.failed or found.changed else 0


if __name__ == "__main__":
    sys.exit(main())
