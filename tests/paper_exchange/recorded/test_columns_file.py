"""Parsed recordings on disk: equal to the lines themselves, made anew where they do not fit. No network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paper_exchange.recorded.chain import snapshot_columns
from paper_exchange.recorded.columns_file import ColumnFiles
from paper_exchange.recorded.files import RecordReader
from paper_exchange.recorded.market import RecordedMarket
from tests.paper_exchange.recorded.test_recorded import record, row, write

ROWS = [
    row(),
    row("BTC-9JAN26-95000-P", bid_price=None, ask_price=0, last=0.01, underlying_index=None),
    row("BTC-9JAN26-96000-C", mark_price=None),
    row("ETH-9JAN26-3000-C"),
    row("BTC-PERPETUAL"),
]


def recording_in(folder: Path) -> Path:
    later = [record(hour, 90_000.0 + hour, rows=[*ROWS, row(bid_price=0.001 * hour)]) for hour in (5, 9)]
    return write(folder / "chain.jsonl.gz", [record(1, 90_000.0, rows=ROWS), *later])


def shown_by(market: RecordedMarket) -> list[Any]:
    """Everything that a market shows, snapshot by snapshot."""
    shown = []
    while True:
        shown.append(
            (market.clock.now(), market.index_price("BTC"), [*market.listings("BTC")], [*market.quotes("BTC")])
        )
        if not market.clock.wait_for_next(300.0):
            return shown


def test_a_market_shows_the_same_without_columns_with_new_ones_and_with_kept_ones(tmp_path: Path) -> None:
    recording, folder = recording_in(tmp_path), tmp_path / "columns"
    from_lines = shown_by(RecordedMarket(recording))
    assert shown_by(RecordedMarket(recording, columns_folder=folder)) == from_lines
    (kept,) = folder.iterdir()
    written_at = kept.stat().st_mtime_ns
    assert shown_by(RecordedMarket(recording, columns_folder=folder)) == from_lines
    assert kept.stat().st_mtime_ns == written_at
    assert len(from_lines) == 3
    assert [quote.name for quote in from_lines[1][3]] == ["BTC-9JAN26-95000-C", "BTC-9JAN26-95000-P"]


def test_kept_columns_are_those_of_the_lines(tmp_path: Path) -> None:
    recording, reader = recording_in(tmp_path), RecordReader()
    ColumnFiles(tmp_path / "columns").scan(recording)
    files = ColumnFiles(tmp_path / "columns")
    for head in files.scan(recording):
        kept, read = files.columns(head), snapshot_columns(reader.read(head), head)
        assert kept is not None
        assert (kept.names, kept.underlying_indexes) == (read.names, read.underlying_indexes)
        assert kept.figures.tobytes() == read.figures.tobytes()


def test_a_recording_that_has_changed_gets_columns_of_its_own(tmp_path: Path) -> None:
    recording, folder = recording_in(tmp_path), tmp_path / "columns"
    RecordedMarket(recording, columns_folder=folder)
    write(recording, [record(1, 95_000.0)])
    assert RecordedMarket(recording, columns_folder=folder).index_price("BTC") == 95_000.0
    assert len([*folder.iterdir()]) == 2


def test_a_damaged_file_of_columns_is_made_anew(tmp_path: Path) -> None:
    recording, folder = recording_in(tmp_path), tmp_path / "columns"
    from_lines = shown_by(RecordedMarket(recording, columns_folder=folder))
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2]):
        kept.write_bytes(damaged)
        assert shown_by(RecordedMarket(recording, columns_folder=folder)) == from_lines
        assert kept.read_bytes() != damaged


def test_where_nothing_can_be_written_the_lines_are_read_again(tmp_path: Path) -> None:
    recording = recording_in(tmp_path)
    (tmp_path / "file").write_text("in the way")
    market = RecordedMarket(recording, columns_folder=tmp_path / "file" / "columns")
    assert shown_by(market) == shown_by(RecordedMarket(recording))


def test_a_recording_with_an_unfinished_line_is_said_to_have_one_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(1, 90_000.0), record(5, 91_000.0)])
    recording.write_bytes(recording.read_bytes()[:-40])
    for _ in range(2):
        assert len(shown_by(RecordedMarket(recording, columns_folder=tmp_path / "columns"))) == 1
        assert "line 2: unfinished last line left out" in capsys.readouterr().err
    assert not (tmp_path / "columns").exists()
