"""Jobs through workers: the processes of this machine, or a Dask cluster, with the same function and the same jobs.

In: Jobs, an executor, how many may be under way. Out: TrialRows as they end. Only so many are handed over as can be
worked on, so that a stop waits for those alone. Starts processes; a worker that dies ends the sweep with a sentence.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import NamedTuple

from backtest.sweep.trials import Job, TrialRow, run_job
from models import ConfigurationError

LOOK_EVERY_SECONDS = 0.5


class Workers(NamedTuple):
    """`at_once`: how many trials they work on at once."""

    executor: Executor
    at_once: int


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def local_processes(count: int) -> Iterator[Workers]:
    """A process a worker. They leave Ctrl-C to the sweep; where that gives up, they end with what they work on."""
    with ProcessPoolExecutor(count, initializer=_ignore_ctrl_c) as executor:
        try:
            yield Workers(executor, count)
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def rows_of(
    jobs: Iterable[Job], workers: Workers, is_stopped: Callable[[], bool], tick: Callable[[], object]
) -> Iterator[TrialRow]:
    """In the order in which they end; once stopped, those under way and no more. `tick` is called now and then."""
    waiting = iter(jobs)
    under_way: set[Future[TrialRow]] = set()
    try:
        while True:
            while len(under_way) < workers.at_once and not is_stopped():
                job = next(waiting, None)
                if job is None:
                    break
                under_way.add(workers.executor.submit(run_job, job))
            if not under_way:
                return
            ended, under_way = wait(under_way, LOOK_EVERY_SECONDS, FIRST_COMPLETED)
            tick()
            for future in ended:
                yield future.result()
    except BrokenProcessPool:
        raise ConfigurationError(
            "a worker process has ended by itself (out of memory?); what is done is kept: try fewer --workers"
        ) from None
