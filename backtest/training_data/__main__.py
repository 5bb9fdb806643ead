"""`python -m backtest.training_data LOGS --out DIR`: decision logs as data to learn from.

In: decision logs (folders, files or patterns; each is a source of its own). Out: a CSV and a JSONL file with a row a
decision point, a card, and a dataset of Minari where that is installed. Exit codes: 0 written, 2 the command line or a
log is wrong, or no state has a choice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backtest.refusals import WRONG_INPUT, refused
from backtest.replay.logged import log_of_run
from backtest.replay.read_aloud import log_read_aloud, prices_of
from backtest.replay.settings import settings_of_runs
from backtest.training_data.files import Source, sha256_of, write_data
from backtest.training_data.minari_file import write_minari
from backtest.training_data.rows import Row, rows_of
from cli.arguments import Parser
from core.text import wrapped
from logging_utils import log_files
from models import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data; the exit code."""
    options = _parser().parse_args(arguments)
    rows: list[Row] = []
    sources: list[Source] = []
    try:
        for pattern in options.logs:
            found, source = _rows_of_log(pattern, options)
            rows += found
            sources.append(source)
        if not rows:
            raise ConfigurationError("no state of these logs has more than one action that is allowed")
    except WRONG_INPUT as error:
        return refused("training_data", error)
    written = [*write_data(rows, sources, options.out), write_minari(rows, options.out)]
    for path in (path for path in written if path is not None):
        print(wrapped(f"wrote {path}"))
    print(f"{len(rows)} decision points of {sum(source.states for source in sources)} states")
    return 0


def _rows_of_log(pattern: str, options: argparse.Namespace) -> tuple[list[Row], Source]:
    log = log_read_aloud(pattern)
    prices = prices_of(log, options.delivery_prices)
    settings, strange = settings_of_runs(log, options.interval)
    rows: list[Row] = []
    for run_id, points in log.runs.items():
        in_order = sorted(points, key=lambda point: point.state.timestamp)
        rows += rows_of(pattern, in_order, settings[run_id], prices.of(points[0]))
    source = Source(
        name=pattern,
        states=len(log.points),
        rows=len(rows),
        files={path.name: sha256_of(path) for path in log_files(log_of_run(pattern))},
        unknown_settings=tuple(strange),
        policies=tuple(sorted({f"{p.decision.policy} {p.decision.policy_hash}" for p in log.points})),
    )
    return rows, source


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m backtest.training_data",
        description="Writes a row a decision point: what was seen, every action allowed, what each was worth.",
    )
    parser.add_argument(
        "logs", nargs="+", help="decision logs: folders (of backtests too), files or patterns, each a source of its own"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    parser.add_argument("--delivery-prices", type=Path, metavar="PATH", help="settlement prices (csv) the logs lack")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="interval of the logs, where it is not seen")
    return parser


if __name__ == "__main__":
    sys.exit(main())
