"""The campaign against agents with a seeded defect each: it must notice every one of them.

`python -m tests.campaign.defects [--schedules 200] [--seed 1] [--only NAME ...]` runs each defect until one of the
invariants it is expected to break speaks, and prints which, and after how many schedules. Exit code 1 where a defect
went unnoticed. In this process only; nothing of the agent's source changes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign.checks.invariants import violations
from tests.campaign.defects import lasting_defects, reading_defects, sending_defects
from tests.campaign.defects.defects import DEFECTS, Defect
from tests.campaign.world.schedule import draw_schedule
from tests.campaign.world.world import run_schedule

MODULES = (sending_defects, reading_defects, lasting_defects)  # imported so that their defects are registered


@dataclass
class Verdict:
    """How one defect fared. `others` are invariants that spoke although nobody expected them to."""

    defect: Defect
    schedules: int = 0
    caught_by: tuple[str, ...] = ()
    example: str = ""
    others: Counter[str] = field(default_factory=Counter)

    @property
    def line(self) -> str:
        caught = f"caught by {', '.join(self.caught_by)}" if self.caught_by else "NOT CAUGHT"
        others = f" (others spoke: {', '.join(sorted(self.others))})" if self.others else ""
        return f"{self.defect.name:40} {caught} after {self.schedules} schedules{others}"


def hunt(defect: Defect, seed: int, schedules: int, folder: Path) -> Verdict:
    """Run schedules with the defect in place until it is noticed, by something that is silent without it."""
    verdict = Verdict(defect)
    for index in range(schedules):
        schedule = defect.occasion(draw_schedule(seed, index))
        with defect.put_in():
            found = _by_invariant(violations(run_schedule(schedule, folder)))
        verdict.schedules += 1
        verdict.others.update(set(found) - set(defect.expected))
        spoke = set(found) & set(defect.expected)
        if spoke:
            spoke -= set(_by_invariant(violations(run_schedule(schedule, folder))))
        if spoke:
            verdict.caught_by = tuple(sorted(spoke, key=lambda name: int(name[1:])))
            verdict.example = found[verdict.caught_by[0]]
            break
    return verdict


def _by_invariant(lines: list[str]) -> dict[str, str]:
    """The first line of each invariant."""
    return {line.partition(":")[0]: line for line in reversed(lines)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.defects", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="most schedules to run for one defect")
    parser.add_argument("--seed", type=int, default=1, help="seed of the campaign")
    parser.add_argument("--only", nargs="+", choices=sorted(DEFECTS), metavar="NAME", help="these defects only")
    options = parser.parse_args(arguments)
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in options.only or DEFECTS:
            verdict = hunt(DEFECTS[name], options.seed, options.schedules, Path(folder) / "run")
            unnoticed += not verdict.caught_by
            print(verdict.line, flush=True)
            if verdict.example:
                print(f"    {verdict.example[:160]}", flush=True)
    print(f"{len(options.only or DEFECTS) - unnoticed} of {len(options.only or DEFECTS)} defects caught")
    return 1 if unnoticed else 0
