"""The files of a download: written whole or not at all, read back, joined. Rows of text in CSV that pandas opens.

In and out: paths and rows. A file appears by renaming, so that a crash leaves the old one or the new one. `.gz` files
say no time of writing: the same rows are the same bytes. Reads and writes disk; OSError where it refuses.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from backtest.download.datasets import Dataset
from backtest.download.rows import Row


def cell_path(folder: Path, dataset: Dataset, coin: str, cell: str) -> Path:
    """Where a cell lies: among the parts where cells are joined, else in its place at once."""
    if dataset.is_joined:
        return folder / "parts" / dataset.name / coin / f"{cell}.csv"
    return folder / dataset.name / dataset.file_name.format(coin=coin, cell=cell)


def joined_path(folder: Path, dataset: Dataset, coin: str) -> Path:
    return folder / dataset.name / dataset.file_name.format(coin=coin)


def write_rows(path: Path, columns: Row, rows: Iterable[Row]) -> str:
    """Replace the file; its SHA-256."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    content = text.getvalue().encode()
    packed = gzip.compress(content, mtime=0) if path.suffix == ".gz" else content
    _replace(path, packed)
    return hashlib.sha256(packed).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def is_intact(path: Path, sha256: str) -> bool:
    """Whether the file is the one that was written."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def read_rows(path: Path, columns: Row) -> list[Row] | None:
    """The rows; None where there is no such file, or none with these columns to its end."""
    try:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if path.suffix == ".gz" else packed
        table = [tuple(row) for row in csv.reader(io.StringIO(content.decode(), newline=""))]
    except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, csv.Error):
        return None
    is_whole = len(table) > 0 and table[0] == columns and all(len(row) == len(columns) for row in table)
    return table[1:] if is_whole else None


def merged(dataset: Dataset, *tables: Iterable[Row]) -> list[Row]:
    """Sorted rows without duplicates; of two with the same key the later table's stands."""
    by_key = {row[dataset.key]: row for table in tables for row in table}
    if dataset.key == 0:
        return [by_key[key] for key in sorted(by_key)]
    return sorted(by_key.values(), key=lambda row: (int(row[0]), len(row[dataset.key]), row[dataset.key]))


def join_cells(folder: Path, dataset: Dataset, coin: str) -> None:
    """Make the one file of all cells there are; nothing where there are none."""
    paths = sorted(cell_path(folder, dataset, coin, "*").parent.glob("*.csv"))
    tables = [read_rows(path, dataset.columns) or [] for path in paths]
    if len(paths) > 0:
        write_rows(joined_path(folder, dataset, coin), dataset.columns, merged(dataset, *tables))
