"""Make a schedule that shows a violation as small as it gets: leave out everything the violation does not need.

In: a schedule, a way to run it, what to look for in the trace. Out: the smallest schedule found that still shows it.
Faults of requests go first (by their keys, in `dropped`), then crashes, disk faults, acts, and iterations at the end.
Every try is one run. Prints as JSON with `to_json`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tests.campaign.world.schedule import Schedule
from tests.campaign.world.trace import Trace

Item = TypeVar("Item")
Run = Callable[[Schedule], Trace]
Shows = Callable[[Trace], bool]

FEWEST_ITERATIONS = 2


@dataclass
class Shrinker:
    """Counts its runs and stops trying when they are used up; the best schedule so far is then the answer."""

    run: Run
    shows: Shows
    most_runs: int = 400
    runs: int = 0

    def still_shows(self, schedule: Schedule) -> bool:
        if self.runs >= self.most_runs:
            return False
        self.runs += 1
        return self.shows(self.run(schedule))

    def needed(self, items: Sequence[Item], rebuilt: Callable[[tuple[Item, ...]], Schedule]) -> tuple[Item, ...]:
        """The items that cannot be left out: whole halves are tried first, then ever smaller pieces."""
        kept = tuple(items)
        size = len(kept)
        while size >= 1 and kept:
            start = 0
            while start < len(kept):
                without = kept[:start] + kept[start + size :]
                if self.still_shows(rebuilt(without)):
                    kept = without
                else:
                    start += size
            size //= 2
        return kept


def shrink(schedule: Schedule, run: Run, shows: Shows, most_runs: int = 400) -> Schedule:
    """The smallest schedule that still shows what the given one shows; the given one where nothing can go."""
    first = run(schedule)
    if not shows(first):
        return schedule
    shrinker = Shrinker(run, shows, most_runs)
    smallest = _fewer_faults(shrinker, schedule, first.injected)
    smallest = _fewer_parts(shrinker, smallest)
    return _fewer_iterations(shrinker, smallest)


def _fewer_faults(shrinker: Shrinker, schedule: Schedule, injected: Sequence[str]) -> Schedule:
    everything = tuple(dict.fromkeys(injected))

    def with_only(kept: tuple[str, ...]) -> Schedule:
        return replace(schedule, dropped=schedule.dropped | (set(everything) - set(kept)))

    return with_only(shrinker.needed(everything, with_only))


def _fewer_parts(shrinker: Shrinker, schedule: Schedule) -> Schedule:
    crashes = shrinker.needed(schedule.crashes, lambda kept: replace(schedule, crashes=kept))
    schedule = replace(schedule, crashes=crashes)
    disk_faults = shrinker.needed(schedule.disk_faults, lambda kept: replace(schedule, disk_faults=kept))
    schedule = replace(schedule, disk_faults=disk_faults)
    acts = shrinker.needed(schedule.acts, lambda kept: replace(schedule, acts=kept))
    return replace(schedule, acts=acts)


def _fewer_iterations(shrinker: Shrinker, schedule: Schedule) -> Schedule:
    """Cut at the end, by halves of what may still go."""
    step = (schedule.iterations - FEWEST_ITERATIONS) // 2
    while step >= 1:
        shorter = replace(schedule, iterations=schedule.iterations - step)
        if shorter.iterations >= FEWEST_ITERATIONS and shrinker.still_shows(shorter):
            schedule = shorter
        else:
            step //= 2
    return schedule
