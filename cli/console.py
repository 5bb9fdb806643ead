"""The console: print what a run says, and go on without one where nobody reads it any more.

In: text, records of iterations. Out: stdout for what was asked for, stderr for complaints and the progress of a long
run. What the text says is in report.py.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from cli.report import console_block, progress_text
from cli.results.earnings_report import earnings_lines
from core.results.earnings import earnings
from core.results.steps import Step, is_about_orders, step_of
from core.text import quotable, wrapped
from deribit.clocks import SystemClock
from logging_utils import IterationRecord
from models import LedgerEntry
from policies.side_effects import threads_left_running

PROGRESS_EVERY_SECONDS = 10.0


def say(text: str) -> None:
    """Print to stdout, in lines that fit an ordinary terminal."""
    text = _fitting(text)
    try:
        print(text, flush=True)
    except UnicodeError:
        print(text.encode("ascii", errors="replace").decode(), flush=True)
    except (OSError, ValueError):  # closed, by the terminal or by a policy
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - stays open for the rest of the process


def complain(text: str) -> None:
    """Print to stderr, in lines that fit an ordinary terminal."""
    with suppress(OSError, ValueError):  # a console that is gone must not stop the agent
        print(_fitting(text), file=sys.stderr, flush=True)


def _fitting(text: str) -> str:
    return "\n".join(wrapped(line) for line in text.split("\n"))


class RunDisplay:
    """What the console shows of a run: each iteration, and now and then how far a long run has come.

    `wanted` is the number of iterations asked for, None for a run without end.
    """

    def __init__(self, wanted: int | None, is_quiet: bool) -> None:
        self._wanted, self._is_quiet = wanted, is_quiet
        self._wall = SystemClock()
        self._started = self._shown = self._wall.monotonic()
        self._ledger: list[LedgerEntry] = []
        self._steps: list[Step] = []  # the first state and those about orders: a long run has many others
        self._newest: IterationRecord | None = None  # of those that have a state

    def show(self, record: IterationRecord) -> None:
        """Print an iteration; after it the progress, where stdout is a file that somebody waits for."""
        self._count(record)
        for name in threads_left_running():
            complain(f"the policy has left a thread running: {quotable(name)}")
        say(console_block(record, self._is_quiet))
        if self._wanted is None or record.iteration >= self._wanted or _is_terminal():
            return
        now = self._wall.monotonic()
        if now - self._shown > PROGRESS_EVERY_SECONDS:
            self._shown = now
            complain(progress_text(record.iteration, self._wanted, record.timestamp, now - self._started))

    def end(self) -> None:
        """What the run earned, once it is over; of a single iteration its block says all."""
        if self._wanted == 1:
            return
        newest = None if self._newest is None else step_of(self._newest)
        steps = self._steps if newest is None else [*self._steps, newest]
        for line in earnings_lines(earnings(self._ledger, steps)):
            say(line)

    def _count(self, record: IterationRecord) -> None:
        self._ledger.extend(record.ledger)
        is_first_state = self._newest is None and record.agent_state is not None
        if is_first_state or record.executed_action.legs or record.ended_orders:
            step = step_of(record)
            if step is not None and (is_first_state or is_about_orders(step)):
                self._steps.append(step)
        self._newest = self._newest if record.agent_state is None else record


def _is_terminal() -> bool:
    with suppress(OSError, ValueError):
        return sys.stderr is not None and sys.stderr.isatty()
    return False
