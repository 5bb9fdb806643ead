"""Fetches what is not there yet, cell by cell, and says what came, what is missing and what is doubtful.

In: what is wanted, a client, a folder. Out: files, the manifest, `gaps.csv` and a report. Stopped at any moment, by
hand, by a fault or by kill -9, the cells that were finished stay and the next run goes on after them. Reads and writes
disk, talks to Deribit through the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from backtest.download.client import PublicClient
from backtest.download.datasets import DATASETS, Dataset
from backtest.download.files import cell_path, is_intact, join_cells, merged, read_rows, write_rows
from backtest.download.gaps import Gap, find_gaps
from backtest.download.manifest import CellNote, Manifest
from backtest.download.paging import Span
from backtest.download.rows import iso
from models import DeribitConnectionError, DeribitError, RateLimitError

GAP_COLUMNS = ("dataset", "coin", "from", "to", "missing", "why")


class Wanted(NamedTuple):
    """Which data of which coins, for what time."""

    datasets: tuple[str, ...]
    coins: tuple[str, ...]
    span: Span

    @property
    def jobs(self) -> Iterator[tuple[Dataset, str]]:
        return ((DATASETS[name], coin) for name in self.datasets for coin in self.coins)

    @property
    def cell_count(self) -> int:
        return sum(1 for dataset, _ in self.jobs for _ in dataset.cells(self.span))


@dataclass
class JobReport:
    """One kind of data of one coin: rows in its files, gaps in the span, doubts, and the fault that ended it."""

    dataset: str
    coin: str
    rows: int = 0
    gaps: list[Gap] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    problem: str | None = None

    @property
    def is_complete(self) -> bool:
        """Nothing doubtful and nothing failed; gaps alone are what the exchange has."""
        return self.problem is None and len(self.doubts) == 0


Progress = Callable[[str], None]


def download(client: PublicClient, wanted: Wanted, folder: Path, progress: Progress) -> list[JobReport]:
    """Fetch, join, report. `progress` hears the name of each cell when it is there. Raises OSError of a full disk."""
    manifest = Manifest(folder)
    problems = _fetch_all(client, wanted, folder, manifest, progress)
    reports = []
    for dataset, coin in wanted.jobs:
        if dataset.is_joined:
            join_cells(folder, dataset, coin)
        report = _report(dataset, coin, wanted.span, folder, manifest)
        report.problem = problems.get((dataset.name, coin))
        reports.append(report)
    write_rows(folder / "gaps.csv", GAP_COLUMNS, [row for report in reports for row in _gap_rows(report)])
    return reports


def _fetch_all(
    client: PublicClient, wanted: Wanted, folder: Path, manifest: Manifest, progress: Progress
) -> dict[tuple[str, str], str]:
    """What went wrong, by kind and coin. A refusal ends one job; without a network, or stopped, all end."""
    problems: dict[tuple[str, str], str] = {}
    ended: str | None = None
    for dataset, coin in wanted.jobs:
        try:
            if ended is None:
                _fetch_job(client, dataset, coin, wanted.span, folder, manifest, progress)
        except (DeribitConnectionError, RateLimitError) as error:
            ended = str(error)
        except DeribitError as error:
            problems[dataset.name, coin] = str(error)
        except KeyboardInterrupt:
            ended = "stopped by hand"
        if ended is not None:
            problems[dataset.name, coin] = ended
    return problems


def _fetch_job(
    client: PublicClient,
    dataset: Dataset,
    coin: str,
    span: Span,
    folder: Path,
    manifest: Manifest,
    progress: Progress,
) -> None:
    for cell, wanted in dataset.cells(span):
        path = cell_path(folder, dataset, coin, cell)
        note = manifest.note_of(dataset.name, coin, cell)
        if note is not None and not is_intact(path, note.sha256):
            note = None
        if note is None or not note.covers(wanted):
            # What was there before is fetched with the rest: a cell is one stretch without holes.
            whole = wanted if note is None else _hull(wanted, Span(note.start_ms, note.end_ms))
            fetched = dataset.fetch(client, coin, whole)
            kept = None if note is None else read_rows(path, dataset.columns)
            rows = merged(dataset, kept or (), fetched.rows)
            manifest.add(
                CellNote(
                    dataset=dataset.name,
                    coin=coin,
                    cell=cell,
                    start_ms=whole.start_ms,
                    end_ms=whole.end_ms,
                    rows=len(rows),
                    sha256=write_rows(path, dataset.columns, rows),
                    doubts=fetched.doubts,
                    fetched_at=client.clock.now().isoformat(timespec="seconds"),
                )
            )
        progress(f"{dataset.name} {coin} {cell}")


def _hull(one: Span, other: Span) -> Span:
    return Span(min(one.start_ms, other.start_ms), max(one.end_ms, other.end_ms))


# --- the report -----------------------------------------------------------------------------------------


def _report(dataset: Dataset, coin: str, span: Span, folder: Path, manifest: Manifest) -> JobReport:
    noted = (manifest.note_of(dataset.name, coin, cell) for cell, _ in dataset.cells(span))
    notes = [note for note in noted if note is not None]
    return JobReport(
        dataset=dataset.name,
        coin=coin,
        rows=sum(note.rows for note in notes),
        gaps=find_gaps(dataset, _times_ms(dataset, coin, folder, span), span),
        doubts=[doubt for note in notes for doubt in note.doubts],
    )


def _times_ms(dataset: Dataset, coin: str, folder: Path, span: Span) -> Iterator[int]:
    """Times of all rows, oldest first, one cell in memory at a time."""
    for cell, _ in dataset.cells(span):
        rows = read_rows(cell_path(folder, dataset, coin, cell), dataset.columns) or []
        yield from (dataset.time_ms(row) for row in rows)


def _gap_rows(report: JobReport) -> Iterator[tuple[str, ...]]:
    for gap in report.gaps:
        why = "no row" if gap.missing > 0 else "long silence"
        yield report.dataset, report.coin, iso(gap.start_ms), iso(gap.end_ms), str(gap.missing), why
    for doubt in report.doubts:
        yield report.dataset, report.coin, "", "", "", doubt
