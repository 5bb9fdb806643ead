"""`python -m backtest.sweep --set DELTA_MAX=0.2,0.3`: many trials on one market, ranked as the best of many.

In: settings, constants of the policy and policies to try, a market as for backtest.run. Out: trials.jsonl (a line a
trial, kept from sweep to sweep), ranking.csv, summary.json in a folder, a table on the terminal. What was run before is
not run again; Ctrl-C keeps what is done and waits for the trials under way, a second one ends at once. Exit codes:
0 done, 1 stopped, or trials failed, 2 nothing could be run. No network without --dask.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from backtest.refusals import WRONG_INPUT, refused
from backtest.report.progress import ProgressLine
from backtest.simulator.markets import add_data_options
from backtest.sweep.files import write_sweep
from backtest.sweep.journal import Journal
from backtest.sweep.judging import WalkForward, judge
from backtest.sweep.plan import Plan, plan_of
from backtest.sweep.running import Workers, cores, local_processes, rows_of
from backtest.sweep.text import sweep_lines
from backtest.sweep.trials import Job, TrialRow, market_from
from cli.arguments import Parser
from config import ENV_FILE, load_config
from core.text import wrapped
from deribit.clocks import SystemClock
from models import Clock, ConfigurationError

MOST_FAILURES_TOLD = 3


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run what is missing, rank what there is; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return SweepDesk(options, SystemClock() if clock is None else clock).sweep()
    except WRONG_INPUT as error:
        return refused("sweep", error)
    except KeyboardInterrupt:
        print("stopped at once; the trials that had ended are kept", file=sys.stderr)
        return 1


class SweepDesk:
    """One sweep: its plan, the journal of its folder, its workers."""

    def __init__(self, options: argparse.Namespace, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._is_stopped = False
        self._failed: list[TrialRow] = []

    def sweep(self) -> int:
        plan = plan_of(self._options)
        market_from(plan.jobs[0].files)  # what is wrong with the files is said before workers are started
        folder = self._folder()
        journal = Journal(folder / "trials.jsonl")
        self._tell_plan(plan, journal)
        missing = [job for job in plan.jobs if job.trial not in journal.rows]
        if missing:
            with self._stopped_by_a_signal():
                self._run(missing, journal)
        self._show(plan, journal, folder)
        return 1 if self._is_stopped or self._failed else 0

    def _folder(self) -> Path:
        folder: Path = self._options.out or load_config(ENV_FILE, warn=lambda _: None).run.data_dir / "sweep"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--out {folder}: {error.strerror}") from None
        return folder

    def _tell_plan(self, plan: Plan, journal: Journal) -> None:
        trials = [job for job in plan.jobs if job.dice is None]
        known = sum(job.trial in journal.rows for job in plan.jobs)
        done = f", {known} run before" if known else ""
        word = "trial" if len(trials) == 1 else "trials"
        _say(f"{len(trials)} {word} and {len(plan.jobs) - len(trials)} runs of random entries{done}")
        if plan.left_out:
            _say(f"left out what no settings can be: {plan.left_out[0].splitlines()[0]}")
        if journal.unreadable:
            _say(f"{journal.unreadable} lines of trials.jsonl cannot be read (cut off?) and are passed over")

    # --- running ------------------------------------------------------------------------------------

    def _run(self, missing: Sequence[Job], journal: Journal) -> None:
        line = ProgressLine("sweep", self._clock, sys.stderr)
        ended = 0
        with self._workers(len(missing)) as workers:
            try:
                tick = lambda: line.tell(lambda taken: _progress(ended, len(missing), taken, self._is_stopped))  # noqa: E731
                for row in rows_of(missing, workers, lambda: self._is_stopped, tick):
                    ended += 1
                    if row.error is None:
                        journal.add(row)
                    else:
                        self._failed.append(row)
                        self._give_up_where_all_fail(row.error, ended, workers)
            finally:
                line.end()
        if self._is_stopped:
            _say(f"stopped with {ended} of {len(missing)} runs done: the same command goes on from here")
        for row in self._failed[:MOST_FAILURES_TOLD]:
            _say(f"failed: {row.policy} {row.values or ''}: {row.error}")

    def _give_up_where_all_fail(self, error: str, ended: int, workers: Workers) -> None:
        if ended == len(self._failed) >= workers.at_once:
            raise ConfigurationError(error)

    def _workers(self, jobs: int) -> AbstractContextManager[Workers]:
        if self._options.dask is None:
            return local_processes(min(jobs, self._options.workers or cores()))
        try:
            from backtest.sweep.dask_cluster import dask_cluster  # an extra that takes a second to load
        except ModuleNotFoundError:
            raise ConfigurationError(
                "--dask needs dask[distributed]: pip install -r backtest/requirements.txt"
            ) from None
        return dask_cluster(self._options.dask)

    @contextmanager
    def _stopped_by_a_signal(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            if self._is_stopped:
                raise KeyboardInterrupt
            self._is_stopped = True

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # --- judging ------------------------------------------------------------------------------------

    def _show(self, plan: Plan, journal: Journal, folder: Path) -> None:
        ever = [row for row in journal.rows.values() if not row.is_random]
        rows = [row for row in ever if row.market == plan.market]
        if not rows:
            _say("no trial has ended: nothing to rank")
            return
        by_chance = [row for row in journal.rows.values() if row.is_random and row.market == plan.market]
        lengths = self._lengths(plan, rows)
        found = judge(rows, by_chance, ever, lengths)
        write_sweep(found, lengths, plan.market, folder)
        _say(rows[0].source)
        for text in sweep_lines(found, lengths, frozenset(job.trial for job in plan.jobs)):
            print(text)
        _say(f"in {folder}: trials.jsonl, ranking.csv, summary.json")

    def _lengths(self, plan: Plan, rows: Sequence[TrialRow]) -> WalkForward:
        """As asked for; else a third of the time to choose on, and as long a pause as a call lives."""
        days = max(len(row.returns) * row.return_days for row in rows)
        options = self._options
        choose = options.choose_days or max(2.0, days // 3)
        pause = min(plan.longest_call_days, days // 3) if options.pause_days is None else options.pause_days
        return WalkForward(choose, options.judge_days or max(2.0, (days - choose - pause) // 3), pause)


def _progress(ended: int, jobs: int, taken_seconds: float, is_stopped: bool) -> str:
    if is_stopped:
        return f"{ended} of {jobs} runs done, waiting for those under way (Ctrl-C again ends at once)"
    left = f", {taken_seconds * (jobs / ended - 1.0):.0f} s left" if ended else ""
    return f"{ended} of {jobs} runs done{left}"


def _say(text: str) -> None:
    print(wrapped(text), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m backtest.sweep",
        description="Many trials of settings and policies on one market, ranked as the best of many. Sends no order.",
        epilog="Trials are kept in the folder: the same sweep runs nothing twice, and every trial ever run counts.",
    )
    _add_space(parser)
    add_data_options(parser)
    judged = parser.add_argument_group("how it is judged")
    judged.add_argument("--choose-days", type=_days, metavar="DAYS", help="past of a step (default a third)")
    judged.add_argument(
        "--judge-days", type=_days, metavar="DAYS", help="future of a step (default a third of the rest)"
    )
    judged.add_argument("--pause-days", type=_days, metavar="DAYS", help="between both (default the longest call)")
    judged.add_argument(
        "--random-entries", type=_count, default=20, metavar="RUNS", help="to compare with (default 20)"
    )
    work = parser.add_argument_group("how it is run")
    work.add_argument("--workers", type=_count, metavar="N", help="processes (default one a core)")
    work.add_argument("--dask", metavar="ADDRESS", help="run on a Dask cluster, such as tcp://10.0.0.5:8786")
    work.add_argument("--out", type=Path, metavar="DIR", help="folder of the trials (default data/sweep)")
    return parser


def _add_space(parser: argparse.ArgumentParser) -> None:
    tried = parser.add_argument_group("what is tried")
    tried.add_argument(
        *("--set",),
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values (0.2,0.3) or a range (0.1..0.4) of a setting, of a setting of both coins (DELTA_MAX) or of a "
        "number in the policy (OWN_POINTS_PER_DELTA); again for others",
    )
    tried.add_argument("--policy", nargs="+", default=["policy_rule_based"], metavar="MODULE", help="one or more")
    tried.add_argument("--random", type=_count, metavar="TRIALS", help="draw so many instead of every combination")
    tried.add_argument("--random-seed", type=int, default=1, metavar="N", help="of the draws (default 1)")
    tried.add_argument("--fills", choices=("ladder", "touch"), help="how orders are filled")
    tried.add_argument("--seed", type=int, help="seed of the simulated market")
    tried.add_argument("--interval", type=float, metavar="SECONDS", help="between decisions (default six hours)")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("below 0")
    return number


def _days(text: str) -> float:
    number = float(text)
    if not 0.0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("not a number of days")
    return number


if __name__ == "__main__":
    sys.exit(main())
