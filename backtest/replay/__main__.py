"""`python -m backtest.replay LOGS --policy my_policy`: decide every logged state again, and show what has changed.

In: decision logs (a folder, a file or a pattern), the name of a policy. Out: agreements, the changed decisions, what
each would have made by settlement; with --csv a table. With --watch again after each save, until Ctrl-C. Exit codes:
0 done, 1 a decision has changed and --fail-on-change was given, 2 the command line, the log or the policy is wrong.
"""

from __future__ import annotations

import argparse
import csv
import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from backtest.refusals import WRONG_INPUT, refused
from backtest.replay.again import Replay, decide_again
from backtest.replay.policy_watch import PolicyWatch
from backtest.replay.read_aloud import log_read_aloud, prices_of, settings_read_aloud
from backtest.replay.text import ChangedDecision, change_lines, changed_decision, summary_lines
from cli.arguments import Parser
from cli.assembly import policy_hash
from core.text import wrapped
from deribit.clocks import SystemClock
from models import Clock, ConfigurationError


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Replay, once or after every save; the exit code."""
    options = _parser().parse_args(arguments)
    clock = SystemClock() if clock is None else clock
    try:
        desk = ReplayDesk(options)
        if options.watch:
            with suppress(KeyboardInterrupt):
                desk.answer_every_save(clock)
            return 0
        replay = desk.answer(clock)
    except WRONG_INPUT as error:
        return refused("replay", error)
    return 1 if replay.changes and options.fail_on_change else 0


class ReplayDesk:
    """A log with its settings and prices, and the policy that is tried on it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._policy = PolicyWatch(options.policy)
        self._log = log_read_aloud(options.logs)
        self._settings = settings_read_aloud(self._log, options.interval)
        self._prices = prices_of(self._log, options.delivery_prices)

    def answer_every_save(self, clock: Clock) -> None:
        gc.freeze()  # the states stay: the next search for garbage need not look at them
        while not clock.is_stopped:
            try:
                self.answer(clock)
            except ConfigurationError as error:
                _say(str(error))
            _say(f"waiting for {self._policy.path.name} to be saved (Ctrl-C ends)")
            self._policy.wait_for_save(clock)

    def answer(self, clock: Clock) -> Replay:
        """Load the policy, decide, print; raises ConfigurationError where the policy cannot be loaded."""
        started = clock.monotonic()
        policy, source = self._policy.load()
        replay = decide_again(self._log, policy, self._settings)
        rows = [changed_decision(change, self._prices.of(change.point)) for change in replay.changes]
        for line in (*summary_lines(replay, rows), *change_lines(rows), *self._same_file(source, replay)):
            _say(line)
        if self._options.csv is not None:
            _write(rows, self._options.csv)
        if self._options.watch:
            _say(f"answered in {clock.monotonic() - started:.1f} s")
        return replay

    def _same_file(self, source: str, replay: Replay) -> list[str]:
        """Changes by the very file that decided then come from other settings, or from a policy with dice."""
        hashes = {point.decision.policy_hash for point in self._log.points}
        if not replay.changes or hashes != {policy_hash(source)}:
            return []
        return ["this is the file that decided then: what has changed are settings, or it uses more than the state"]


def _write(rows: Sequence[ChangedDecision], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ChangedDecision)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _say(text: str) -> None:
    print(text if "\n" in text else wrapped(text), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m backtest.replay",
        description="Decides every logged state again and shows which decisions have changed. Sends no order.",
    )
    parser.add_argument("logs", help="decision logs: a folder (of a backtest too), a file or a pattern")
    parser.add_argument("--policy", default="policy_rule_based", metavar="MODULE", help="module with decide_action")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="interval of the log, where it is not seen")
    parser.add_argument("--delivery-prices", type=Path, metavar="PATH", help="settlement prices (csv) the log lacks")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the changed decisions as a table")
    parser.add_argument("--fail-on-change", action="store_true", help="exit code 1 where a decision has changed")
    parser.add_argument("--watch", action="store_true", help="answer again after every save of the policy")
    return parser


if __name__ == "__main__":
    sys.exit(main())
