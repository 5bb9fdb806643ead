"""Many schedules on a few processes: run, check, add up, and look closer at what went wrong.

In: a campaign seed and a range of indices. Out: one Result for each schedule, in any order; for a violation its seed,
the command that replays it, and the smallest schedule that still shows it. Logs lie in memory (a tmpfs) while a
schedule runs and are kept only where an invariant was violated. Times in seconds.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign.checks import invariants
from tests.campaign.deciders.counts import decided
from tests.campaign.report.shrink import shrink
from tests.campaign.world.schedule import Draw, Schedule, draw_schedule
from tests.campaign.world.trace import Trace
from tests.campaign.world.traces import fingerprint
from tests.campaign.world.world import run_schedule

# Garbage is collected young and often: httpx leaves cycles with every reply, and while they are in the cache it costs a
# tenth of what it costs later. What lived as long as its schedule is collected after many of them, or it would add up.
COLLECT_AT = (700, 100, 1000)
COLLECT_ALL_EVERY = 100  # schedules
CHUNK = 8


@dataclass(frozen=True)
class Result:
    """What is left of one schedule once its trace is gone."""

    seed: int
    index: int
    violations: tuple[str, ...]
    hash: str
    fired: dict[tuple[str, str], int] = field(default_factory=dict)
    reached: frozenset[str] = frozenset()
    events: int = 0
    iterations: int = 0
    lives: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    requests_by_iteration: dict[int, int] = field(default_factory=dict)  # requests -> in how many iterations
    requests_by_look: dict[int, int] = field(default_factory=dict)  # the same of looks at orders that rest
    iterations_to_converge: int | None = None
    decided: dict[str, int] = field(default_factory=dict)  # who decided what how often
    cpu_seconds: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.seed}:{self.index}"


def memory_folder() -> Path:
    """A folder for this process whose files need no disk, where there is one."""
    shared = Path("/dev/shm")
    base = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    return base / f"campaign-{os.getpid()}"


def run_one(seed: int, index: int, keep_violations: Path | None = None, draw: Draw = draw_schedule) -> Result:
    """Run and check one schedule; its files are removed, or moved to `keep_violations` where something was wrong."""
    started = time.process_time()
    folder = memory_folder() / f"{seed}-{index}"
    trace = run_schedule(draw(seed, index), folder)
    found = invariants.violations(trace)
    if found and keep_violations is not None:
        keep_violations.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(keep_violations / folder.name, ignore_errors=True)
        shutil.move(folder, keep_violations / folder.name)
    shutil.rmtree(folder, ignore_errors=True)
    return result_of(trace, found, time.process_time() - started)


def result_of(trace: Trace, found: list[str], cpu_seconds: float) -> Result:
    """What a campaign keeps of a trace, and of the breaches found in it."""
    per_iteration = Counter((call.life, call.iteration, call.ends_the_run) for call in trace.calls if call.look == 0)
    per_look = Counter((call.life, call.iteration, call.look) for call in trace.calls if call.look > 0)
    ends = Counter(life.end if life.end != "exit" else f"exit {life.exit_code}" for life in trace.lives)
    return Result(
        seed=trace.seed[0],
        index=trace.seed[1],
        violations=tuple(found),
        hash=fingerprint(trace),
        fired=trace.fired,
        reached=frozenset(trace.reached),
        events=len(trace.points),
        iterations=trace.iterations_run,
        lives=len(trace.lives),
        ends=dict(ends),
        requests_by_iteration=dict(Counter(per_iteration.values())),
        requests_by_look=dict(Counter(per_look.values())),
        iterations_to_converge=invariants.iterations_to_converge(trace),
        decided=dict(decided(trace)),
        cpu_seconds=cpu_seconds,
    )


# --- many --------------------------------------------------------------------------------


def run_many(
    seed: int, indices: range, jobs: int, keep_violations: Path | None = None, draw: Draw = draw_schedule
) -> Iterator[Result]:
    """All schedules of a range, on so many processes."""
    tasks = [(seed, index, keep_violations, draw) for index in indices]
    if jobs == 1:
        yield from map(_task, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_begin_worker) as pool:
        yield from pool.imap_unordered(_task, tasks, chunksize=CHUNK)


def _begin_worker() -> None:
    """Interrupts are the parent's business; no garbage is looked for among the modules."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)


def _task(task: tuple[int, int, Path | None, Draw]) -> Result:
    result = run_one(*task)
    if result.index % COLLECT_ALL_EVERY == 0:
        gc.collect()
    return result


def same_twice(seed: int, indices: range, jobs: int, draw: Draw = draw_schedule) -> list[int]:
    """The indices of schedules that gave another ledger or log the second time."""
    first = {result.index: result.hash for result in run_many(seed, indices, jobs, draw=draw)}
    second = {result.index: result.hash for result in run_many(seed, indices, jobs, draw=draw)}
    return [index for index in indices if first[index] != second[index]]


# --- one, closer ------------------------------------------------------------------------------


def look_closer(result: Result, say: Callable[[str], None], most_runs: int = 150, draw: Draw = draw_schedule) -> None:
    """Replay a violation, then make its schedule as small as it gets."""
    say(f"{result.name}: {result.violations[0]}")
    say(f"  replay: python -m tests.campaign --only {result.name}{'' if draw is draw_schedule else ' --deciders'}")
    schedule = draw(result.seed, result.index)
    again = invariants.violations(_run(schedule))
    say("  replayed: the same" if tuple(again) == result.violations else f"  replayed: NOT the same, {again[:2]}")
    kind = result.violations[0].partition(":")[0]
    smallest = shrink(schedule, _run, lambda trace: _shows(trace, kind), most_runs)
    say(f"  smallest schedule that shows {kind}: {_described(smallest)}")


def _run(schedule: Schedule) -> Trace:
    return run_schedule(schedule, memory_folder() / "closer")


def _shows(trace: Trace, kind: str) -> bool:
    return any(text.startswith(f"{kind}:") for text in invariants.violations(trace))


def _described(schedule: Schedule) -> str:
    """A shrunk schedule in one line: what is left in it."""
    trace = _run(schedule)
    met = [f"call {call.number} {call.method} {'+'.join(call.rows)}" for call in trace.calls if call.rows]
    parts = [f"{schedule.iterations} iterations", *met[:12], *(str(crash) for crash in schedule.crashes)]
    parts += [str(fault) for fault in schedule.disk_faults] + [str(act) for act in schedule.acts]
    return "; ".join(parts)


def progress(done: int, wanted: int, started: float, bad: int) -> None:
    """A line on stderr now and then."""
    rate = done / max(1e-9, time.monotonic() - started)
    print(f"{done}/{wanted} schedules, {rate:.1f}/s, {bad} with violations", file=sys.stderr, flush=True)
