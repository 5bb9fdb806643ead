"""`python -m backtest.run`: one command from data to a report: what a policy would have earned, beside simple ones.

In: a policy, a market (simulated, or recorded or historical files), a period; settings from `.env` as everywhere. Out:
report.html, trades.csv, equity.csv, chains.csv, decisions.csv, summary.json in a folder, its decision log in logs/
there, and a summary on the terminal. Modelled quotes come as a band of two coefficient sets, beside real ones if asked.
Ctrl-C keeps what is done. Exit codes: 0 done, 1 ended early, with a partial result, 2 nothing could be run. No network.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from backtest.refusals import WRONG_INPUT, refused
from backtest.report.contents import OtherQuotes, Report
from backtest.report.files import summary_of_report, write_summary, write_tables, write_whole
from backtest.report.page import report_page
from backtest.report.progress import ProgressLine
from backtest.report.text import summary_lines
from backtest.simulator.compare import decided, difference_lines, first_difference, read_decided
from backtest.simulator.exits import CallStyle, ExitStyle
from backtest.simulator.markets import Markets, NamedMarket, add_data_options, end_of, markets_of
from backtest.simulator.presets import PRESETS
from backtest.simulator.result import SimulationResult
from backtest.simulator.sensitivity import Case, SensitivityRow, sensitivity_rows
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy
from cli.arguments import Parser
from cli.policy_file import load_policy
from config import ENV_FILE, AgentConfig, load_config
from core.text import wrapped
from deribit.clocks import SystemClock
from models import Clock, ConfigurationError, DecisionLog
from orders.jsonl_file import JsonlLog
from paper_exchange.setups import Setup

SIX_HOURS_SECONDS = 21_600.0
USUAL_DELTA = 0.2
Found = TypeVar("Found")


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run, or compare; the exit code."""
    options = _parser().parse_args(arguments)
    desk = RunDesk(options, SystemClock() if clock is None else clock)
    try:
        with desk.stopped_by_a_signal():
            _refuse_odd_figures(options)
            return desk.compare(*options.compare) if options.compare else desk.report()
    except WRONG_INPUT as error:
        return refused("run", error)


class StoppedByHandError(Exception):
    """A run beside the first was not begun, or ended before its period did."""


class RunDesk:
    """One market and period, and the runs on it, one after the other."""

    def __init__(self, options: argparse.Namespace, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._current: CoveredCallSimulator | None = None
        self._is_stopped = False

    def report(self) -> int:
        """The policy, the presets beside it, the files."""
        markets = markets_of(self._options)
        case = self._case(self._policy(self._options.policy), markets)
        folder = self._options.out or case.config.run.data_dir / "backtests" / case.policy.name
        folder.mkdir(parents=True, exist_ok=True)
        result = self._watch(case.policy.name, _simulator(case, None if self._options.no_log else folder / "logs"))
        write_tables(result, folder)  # before the other runs: these may take as long again
        found = Report(
            result,
            presets=() if self._options.no_presets else _ended(self._presets(case)),
            sensitivity=_ended(self._sensitivity(case, result)) if self._options.sensitivity else (),
            other_quotes=_ended(self._on_other_quotes(case, markets.others)),
            is_stopped=self._is_stopped,
        )
        write_summary(summary_of_report(found), folder)
        write_whole(folder / "report.html", report_page(found))
        for line in (*summary_lines(found), f"report: {folder / 'report.html'}"):
            print(line)
        return 1 if result.problem is not None or self._is_stopped else 0

    def compare(self, first: str, second: str) -> int:
        """Two folders of runs, or two policies, which are run first."""
        rows = []
        for name in (first, second):
            if Path(name).is_dir():
                rows.append(read_decided(Path(name)))
            else:
                case = self._case(self._policy(name), markets_of(self._options))
                rows.append(decided(self._watch(name, _simulator(case)).decisions))
        for line in difference_lines(first_difference(*rows), (first, second)):
            print(wrapped(line))
        return 0

    @contextmanager
    def stopped_by_a_signal(self) -> Iterator[None]:
        """Ctrl-C ends the run after the decision under way."""

        def stop(*_: object) -> None:
            if self._is_stopped:
                raise KeyboardInterrupt
            self._is_stopped = True
            if self._current is not None:
                self._current.stop()

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _case(self, policy: NamedPolicy, markets: Markets) -> Case:
        return Case(self._settings(), markets.make_setup, policy, markets.period)

    def _settings(self) -> AgentConfig:
        asked = {"fills": self._options.fills, "seed": self._options.seed, "interval_seconds": self._options.interval}
        run: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        return load_config(ENV_FILE, {"run": {"interval_seconds": SIX_HOURS_SECONDS, **run}})

    def _policy(self, name: str) -> NamedPolicy:
        options = self._options
        if options.exit is not None and name == options.policy:
            delta = USUAL_DELTA if options.delta is None else options.delta
            style = CallStyle(delta, ExitStyle(options.exit), least_roll_credit_coin=options.least_roll_credit or 0.0)
            return NamedPolicy(f"delta {delta:g} {options.exit}", style, repr(style))
        decide, source = load_policy(name)
        return NamedPolicy(Path(name).stem, decide, source)

    def _presets(self, case: Case) -> Iterator[SimulationResult]:
        for preset in PRESETS:
            its_own = replace(
                case, config=preset.settings(case.config), policy=NamedPolicy(preset.name, preset.decide, preset.name)
            )
            yield self._watch_beside(preset.name, _simulator(its_own))

    def _on_other_quotes(self, case: Case, others: Sequence[NamedMarket]) -> Iterator[OtherQuotes]:
        for other in others:
            simulator = _simulator(replace(case, make_setup=other.make_setup))
            try:
                yield OtherQuotes(other.name, self._watch_beside(f"{case.policy.name}, {other.name}", simulator))
            except ConfigurationError as error:  # their data do not reach so far; the run itself stands
                print(wrapped(f"backtest.run: {other.name} left out: {error}"), file=sys.stderr)

    def _sensitivity(self, case: Case, result: SimulationResult) -> Iterator[SensitivityRow]:
        return sensitivity_rows(case, result, self._watch_beside)

    def _watch_beside(self, name: str, simulator: CoveredCallSimulator) -> SimulationResult:
        """To its end; raises StoppedByHandError: half a run beside a whole one would mislead."""
        result = None if self._is_stopped else self._watch(name, simulator)
        if result is None or self._is_stopped:
            raise StoppedByHandError
        return result

    def _watch(self, name: str, simulator: CoveredCallSimulator) -> SimulationResult:
        """Run it, with a line that says how far it is."""
        self._current = simulator
        if self._is_stopped:
            simulator.stop()
        line = ProgressLine(name, self._clock, sys.stderr)
        try:
            return simulator.run(lambda at, _: line.show(at, simulator.span))
        finally:
            line.end()


def _refuse_odd_figures(options: argparse.Namespace) -> None:
    """A figure that nothing would look at, or that no call can have. Raises ConfigurationError."""
    delta, credit = options.delta, options.least_roll_credit
    if options.exit is None and (delta is not None or credit is not None):
        raise ConfigurationError("--delta and --least-roll-credit go with --exit: a policy of its own has its own")
    if delta is not None and not 0.0 < delta < 1.0:
        raise ConfigurationError(f"--delta {delta:g}: the delta of a call is between 0 and 1")
    if credit is not None and not math.isfinite(credit):
        raise ConfigurationError(f"--least-roll-credit {credit}: not a number of coins")


def _ended(runs: Iterator[Found]) -> tuple[Found, ...]:
    """What had ended by the time somebody stopped them."""
    found: list[Found] = []
    with suppress(StoppedByHandError):
        for one in runs:
            found.append(one)
    return tuple(found)


def _simulator(case: Case, log_folder: Path | None = None) -> CoveredCallSimulator:
    make_log = None if log_folder is None else partial(_fresh_log, log_folder)
    return CoveredCallSimulator(case.config, case.make_setup, case.policy, case.period, make_log, end_of)


def _fresh_log(folder: Path, setup: Setup) -> DecisionLog:
    """Where an earlier run left its log, this one's takes its place, as the other files do."""
    for old in folder.glob("decisions-*.jsonl"):
        old.unlink()
    return JsonlLog(folder, "decisions", setup.clock)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m backtest.run",
        description="What a policy would have earned, on the engine that trades. Sends no order.",
        epilog="Without files it runs on the simulated market. Settings come from .env, as everywhere.",
    )
    what = parser.add_argument_group("what is run")
    what.add_argument("--policy", default="policy_rule_based", metavar="MODULE", help="module with decide_action")
    styles = [style.value for style in ExitStyle]
    what.add_argument(
        "--exit", choices=styles, metavar="STYLE", help=f"a ready-made policy instead: {', '.join(styles)}"
    )
    what.add_argument("--delta", type=float, help=f"the delta that a ready-made policy sells (default {USUAL_DELTA})")
    what.add_argument("--least-roll-credit", type=float, metavar="COIN", help="what its rolls must bring (default 0)")
    what.add_argument("--fills", choices=("ladder", "touch"), help="how orders are filled")
    what.add_argument("--seed", type=int, help="seed of chance and of the simulated market")
    what.add_argument("--interval", type=float, metavar="SECONDS", help="between decisions (default six hours)")
    what.add_argument("--compare", nargs=2, metavar=("A", "B"), help="the first decision in which two runs differ")
    add_data_options(parser)
    out = parser.add_argument_group("what comes out")
    out.add_argument("--out", type=Path, metavar="DIR", help="folder of the report and the tables")
    out.add_argument("--no-log", action="store_true", help="leave out the log of its decisions, 12 kB each")
    out.add_argument("--no-presets", action="store_true", help="leave out the policies for comparison")
    out.add_argument(
        "--sensitivity", action="store_true", help="other volatility, spreads, fees and hours (8 more runs)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
