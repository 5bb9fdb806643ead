"""`python -m backtest.download --from 2024-01-01`: Deribit's public history into `data/deribit`, without any key.

In: the command line. Out: CSV files, `manifest.jsonl`, `gaps.csv`, a progress bar on stderr and a summary on stdout.
Exit codes: 0 all there, 1 incomplete (the same command goes on where it stopped), 2 the command line is wrong, 5 an
answer from where no answer may come. Talks to Deribit through the client.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from backtest.download.client import Addresses, PublicClient
from backtest.download.datasets import COINS, DATASETS
from backtest.download.paging import Span
from backtest.download.rows import iso
from backtest.download.run import JobReport, Wanted, download
from backtest.refusals import refused
from cli.arguments import Parser
from deribit.clocks import SystemClock
from models import Clock, ConfigurationError, WrongEnvironmentError
from paper_exchange.market.clocks import HOUR_MS, to_ms

try:
    from tqdm import tqdm  # type: ignore[import-untyped]
except ImportError:
    sys.exit("the progress bar is missing: pip install -r backtest/requirements.txt")

DEFAULT_DATASETS = ("candles", "dvol", "delivery_prices", "instruments")
MOST_GAPS_SHOWN = 3


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Download and report; the exit code."""
    clock = SystemClock() if clock is None else clock
    options = _parser().parse_args(arguments)
    try:
        wanted = _wanted(options, clock)
        client = PublicClient(clock, Addresses(options.main_url, options.history_url))
    except ConfigurationError as error:
        return refused("download", error)
    return _downloaded(client, wanted, options.out, options.quiet)


def _downloaded(client: PublicClient, wanted: Wanted, folder: Path, is_quiet: bool) -> int:
    try:
        with tqdm(total=wanted.cell_count, unit="cell", disable=is_quiet) as bar:

            def advance(name: str) -> None:
                bar.set_description(name, refresh=False)
                bar.update()

            reports = download(client, wanted, folder, advance)
    except WrongEnvironmentError as error:
        print(f"backtest.download: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"backtest.download: {error}; what is finished stays", file=sys.stderr)
        return 1
    finally:
        client.close()
    print("\n".join(_summary(reports, wanted.span, folder)))
    return 0 if all(report.is_complete for report in reports) else 1


def _summary(reports: list[JobReport], span: Span, folder: Path) -> list[str]:
    lines = [f"{folder}: {iso(span.start_ms)} to {iso(span.end_ms)}"]
    for report in reports:
        missing = sum(gap.missing for gap in report.gaps)
        known = f", {missing} rows missing" if missing > 0 else ""
        began_ms = DATASETS[report.dataset].began_ms
        lines.append(f"{report.dataset:<16}{report.coin}  {report.rows:>9,} rows, {len(report.gaps)} gaps{known}")
        began = (f"nothing older than {iso(began_ms)} exists",) if span.start_ms < began_ms else ()
        gaps = (f"gap {iso(gap.start_ms)} to {iso(gap.end_ms)}" for gap in report.gaps[:MOST_GAPS_SHOWN])
        doubts = (f"doubtful: {doubt}" for doubt in report.doubts[:MOST_GAPS_SHOWN])
        problems = (f"not finished: {report.problem}",) if report.problem is not None else ()
        lines += [f"    {line}" for line in (*began, *gaps, *doubts, *problems)]
    if not all(report.is_complete for report in reports):
        lines.append("incomplete: the same command goes on where this one stopped")
    return lines


# --- options -----------------------------------------------------------------------------------------------


def _wanted(options: argparse.Namespace, clock: Clock) -> Wanted:
    """Up to the last hour that has ended: a candle that is not finished is not data."""
    finished_ms = to_ms(clock.now()) // HOUR_MS * HOUR_MS
    start_ms = to_ms(options.start)
    end_ms = finished_ms if options.end is None else min(to_ms(options.end), finished_ms)
    if start_ms >= end_ms:
        raise ConfigurationError(
            f"nothing lies between --from {options.start:%Y-%m-%d %H:%M} and {iso(end_ms)}, the last finished hour"
        )
    return Wanted(tuple(options.data), tuple(options.coins), Span(start_ms, end_ms))


def _parser() -> argparse.ArgumentParser:
    addresses = Addresses()
    parser = Parser(
        prog="python -m backtest.download", description="Deribit's public history, as CSV.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--from", dest="start", type=_moment, required=True, metavar="DATE", help="first day, UTC (2024-01-01)")
    add("--to", dest="end", type=_moment, metavar="DATE", help="day after the last (default: the last finished hour)")
    add("--coins", nargs="+", choices=COINS, default=COINS, metavar="COIN", help="BTC ETH (default both)")
    add(
        *("--data",),
        nargs="+",
        choices=tuple(DATASETS),
        default=DEFAULT_DATASETS,
        metavar="KIND",
        help=f"any of {', '.join(DATASETS)} (default all but trades, a page a thousand trades, half a second each)",
    )
    add("--out", type=Path, default=Path("data/deribit"), metavar="DIR", help="folder (default data/deribit)")
    add("--quiet", action="store_true", help="no progress bar")
    add("--main-url", default=addresses.main, metavar="URL", help="a server on this machine in place of the main host")
    add("--history-url", default=addresses.history, metavar="URL", help="and one in place of the history host")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


if __name__ == "__main__":
    sys.exit(main())
