"""`python -m tests.campaign`: run schedules, check every one, print the figures.

Out: the table, what was violated with the command that replays it, exit code 1 where anything was. `--only 1:57` runs
one schedule and says what happened in it.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.campaign.checks import invariants
from tests.campaign.deciders.drawing import draw_with_deciders
from tests.campaign.live.all_rows import TIMES, TIMES_IN_SHORT, run_scenarios
from tests.campaign.report import everything, runner
from tests.campaign.report import figures as figures_of
from tests.campaign.report.figures import Figures
from tests.campaign.world.schedule import Draw, draw_schedule
from tests.campaign.world.trace import Trace
from tests.campaign.world.traces import fingerprint
from tests.campaign.world.world import run_schedule

QUICK_SCHEDULES, SCHEDULES = 300, 10_000
SCHEDULES_OF_ALL = 12_000  # so many have half a million iterations
HASHED_TWICE = 100
LOOKED_AT = 5  # violations that are replayed and shrunk
SAID_EVERY_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> int:
    started = time.monotonic()
    options = _options(arguments)
    draw = draw_with_deciders if options.deciders else draw_schedule
    if options.only is not None:
        return _one(draw, *_seed_and_index(options.only), shows_schedule=options.schedule)
    wanted = _wanted(options)
    figures = _campaign(options.seed, range(options.first, options.first + wanted), options.jobs, draw)
    hashes = HASHED_TWICE if options.all else options.hashes
    if hashes:
        different = runner.same_twice(options.seed, range(hashes), options.jobs, draw)
        figures.hashes_same = hashes - len(different), hashes
    is_complete = wanted >= SCHEDULES
    times = TIMES if is_complete else TIMES_IN_SHORT
    problems = [] if options.quick or options.deciders else _scenarios(figures, times, options.jobs)
    _print(figures, is_complete)
    measured = everything.other_suites(started) if options.all else {}
    if options.write or options.all:
        figures_of.write_json(figures, everything.rows_of(figures, measured) if measured else ())
    if measured:
        _say(figures_of.committed_table())
        found = everything.problems_of(measured)
        problems += found
        _say("other suites: " + ("; ".join(found) or "nothing wrong"))
    if is_complete:
        problems += [
            *figures_of.rows_below(figures),
            *figures_of.pairs_below(figures),
            *figures_of.states_missed(figures),
        ]
    for result in figures.violated[: 0 if options.no_shrink else LOOKED_AT]:
        runner.look_closer(result, _say, draw=draw)
    hashes_differ = figures.hashes_same is not None and figures.hashes_same[0] < figures.hashes_same[1]
    return 1 if figures.violated or problems or hashes_differ else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.deciders and (options.all or options.write):
        parser.error("--deciders is a campaign of its own: figures.json is about the other")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--schedules", type=int, metavar="N", help=f"default {SCHEDULES}, with --all {SCHEDULES_OF_ALL}"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="campaign seed")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="index of the first schedule")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SCHEDULES} schedules, no scenarios")
    parser.add_argument("--deciders", action="store_true", help="draw who decides too; no scenarios")
    parser.add_argument("--only", metavar="SEED:INDEX", help="run one schedule and tell what happened")
    parser.add_argument("--schedule", action="store_true", help="with --only: print the schedule as JSON")
    parser.add_argument("--hashes", type=int, default=0, metavar="N", help="run N schedules twice, compare the hashes")
    parser.add_argument("--no-shrink", action="store_true", help="do not make violating schedules smaller")
    parser.add_argument("--all", action="store_true", help="every suite; writes figures.json and prints its table")
    parser.add_argument("--write", action="store_true", help="write figures.json")
    return parser


def _wanted(options: argparse.Namespace) -> int:
    """How many schedules to run."""
    if options.quick:
        return QUICK_SCHEDULES
    default = SCHEDULES_OF_ALL if options.all else SCHEDULES
    return default if options.schedules is None else int(options.schedules)


def _seed_and_index(text: str) -> tuple[int, int]:
    seed, _, index = text.partition(":")
    return int(seed), int(index)


def _say(text: str) -> None:
    print(text, flush=True)


# --- the campaign ----------------------------------------------------------------------


def _campaign(seed: int, indices: range, jobs: int, draw: Draw) -> Figures:
    figures = Figures(seed, indices.start)
    started = said = time.monotonic()
    for result in runner.run_many(seed, indices, jobs, runner.memory_folder() / "violations", draw):
        figures.add(result)
        if time.monotonic() - said > SAID_EVERY_SECONDS:
            said = time.monotonic()
            runner.progress(figures.schedules, len(indices), started, len(figures.violated))
    figures.wall_seconds = time.monotonic() - started
    return figures


def _scenarios(figures: Figures, times: int, jobs: int) -> list[str]:
    """The rows that need the real thing; what went wrong there."""
    outcome = run_scenarios(times, jobs)
    figures.count(outcome.fires)
    for problem in outcome.problems:
        _say(f"scenario: {problem}")
    return outcome.problems


def _print(figures: Figures, is_complete: bool) -> None:
    _say(figures_of.table(figures))
    if is_complete:  # in a shorter campaign some rows cannot have fired fifty times
        _say("rows below 50: " + (", ".join(figures_of.rows_below(figures)) or "none"))
        _say("pairs below 50: " + (", ".join(figures_of.pairs_below(figures)) or "none"))
    _say("rare states never reached: " + (", ".join(figures_of.states_missed(figures)) or "none"))
    for result in sorted(figures.violated, key=lambda found: found.index)[:40]:
        _say(f"{result.name}: {result.violations[0][:200]}")


# --- one schedule -------------------------------------------------------------------------


def _one(draw: Draw, seed: int, index: int, shows_schedule: bool) -> int:
    schedule = draw(seed, index)
    if shows_schedule:
        _say(schedule.to_json())
    folder = runner.memory_folder() / f"only-{seed}-{index}"
    trace = run_schedule(schedule, folder)
    for line in _story(trace):
        _say(line)
    found = invariants.violations(trace)
    _say(f"sha256 {fingerprint(trace)}; files in {folder}")
    _say("\n".join(found) or "no violation")
    return 1 if found else 0


def _story(trace: Trace) -> list[str]:
    """What happened, in the order of time."""
    told = [
        (
            call.sent_at,
            f"life {call.life} iteration {call.iteration} call {call.number} {call.method} "
            f"{'+'.join(call.rows)} {call.raised or call.heard_status or ''}",
        )
        for call in trace.calls
        if call.rows or call.method in ("private/buy", "private/sell", "private/edit", "private/cancel")
    ]
    told += [
        (
            point.event.at,
            f"    {point.event.kind} {point.event.direction} {point.event.amount:g} "
            f"{point.event.instrument_name} at {point.event.price_coin} {point.event.label} {'+'.join(point.rows)}",
        )
        for point in trace.points
    ]
    told += [(life.started_at, f"--- life {life.number} starts, resumed {life.resumed}") for life in trace.lives]
    told += [
        (life.ended_at, f"--- life {life.number}: {life.end} {life.exit_code} {life.error or ''}")
        for life in trace.lives
        if life.ended_at is not None
    ]
    return [f"{at:%m-%d %H:%M:%S} {text}" for at, text in sorted(told, key=lambda item: item[0])]


if __name__ == "__main__":
    sys.exit(main())
