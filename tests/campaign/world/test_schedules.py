"""The fast part of the fault campaign: some hundred schedules, all that ever went wrong, and the same seed twice.

The whole of it is `python -m tests.campaign`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.campaign.report.runner import run_many, run_one, same_twice
from tests.campaign.report.shrink import shrink
from tests.campaign.world.schedule import Schedule, draw_schedule, from_json
from tests.campaign.world.trace import Trace

SEEDS_FILE = Path(__file__).parent / "seeds.txt"
CAMPAIGN_SEED = 20261120
SCHEDULES = 200
PROCESSES = 2


def test_no_schedule_breaks_an_invariant() -> None:
    results = run_many(CAMPAIGN_SEED, range(SCHEDULES), PROCESSES)
    found = sorted(f"{result.name} {line}" for result in results for line in result.violations)

    assert found == [], "replay with: python -m tests.campaign --only SEED:INDEX"


def test_no_schedule_that_ever_broke_one_does_so_again() -> None:
    pinned = pinned_seeds(SEEDS_FILE.read_text(encoding="utf-8"))
    found = [f"{seed}:{index} {line}" for seed, index in pinned for line in run_one(seed, index).violations]

    assert found == []


def test_the_same_seed_leaves_the_same_ledger_and_log() -> None:
    assert same_twice(CAMPAIGN_SEED, range(5), PROCESSES) == []


def test_pinned_seeds_are_read_with_their_comments() -> None:
    assert pinned_seeds("# a heading\n1:7  # why\n\n20261120:3\n") == [(1, 7), (20261120, 3)]


def pinned_seeds(text: str) -> list[tuple[int, int]]:
    """The seeds of a text as in seeds.txt: one a line, comments after #."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    pairs = (line.split(":") for line in lines if line)
    return [(int(campaign), int(index)) for campaign, index in pairs]


# --- the shrinker --------------------------------------------------------------------------------------------


def pretended(needed: set[str], crash_is_needed: bool = False, iterations: int = 0) -> list[Schedule]:
    """What is left of a drawn schedule that fails as long as these faults are in it; and everything that was tried."""
    drawn = next(s for s in (draw_schedule(1, index) for index in range(50)) if len(s.crashes) >= 2 and s.acts)
    keys = [f"{number}:private/sell:0" for number in range(20)]
    tried: list[Schedule] = []

    def run(schedule: Schedule) -> Trace:
        tried.append(schedule)
        trace = Trace(schedule.seed, Path(), schedule)
        trace.injected = [key for key in keys if key not in schedule.dropped]
        return trace

    def shows(trace: Trace) -> bool:
        has_crash = drawn.crashes[1] in trace.schedule.crashes or not crash_is_needed
        return needed <= set(trace.injected) and has_crash and trace.schedule.iterations >= iterations

    return [shrink(drawn, run, shows), *tried]


def test_a_schedule_shrinks_to_the_faults_its_violation_needs() -> None:
    smallest, *tried = pretended({"3:private/sell:0", "17:private/sell:0"}, crash_is_needed=True, iterations=11)

    left = {f"{number}:private/sell:0" for number in range(20)} - smallest.dropped
    assert left == {"3:private/sell:0", "17:private/sell:0"}
    assert len(smallest.crashes) == 1
    assert (smallest.acts, smallest.disk_faults, smallest.iterations) == ((), (), 11)
    assert len(tried) < 100


def test_a_schedule_that_shows_nothing_is_left_as_it_is() -> None:
    smallest, *tried = pretended({"no such fault"})

    assert smallest.dropped == frozenset()
    assert len(tried) == 1


def test_a_shrunk_schedule_can_be_written_down_and_read_back() -> None:
    schedule = replace(draw_schedule(1, 3), dropped=frozenset({"1:public/ticker:0"}))

    assert from_json(schedule.to_json()) == schedule
    assert json.loads(schedule.to_json())["dropped"] == ["1:public/ticker:0"]
