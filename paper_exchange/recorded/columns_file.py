"""Recorded chains as columns on disk, so that a recording is parsed once and then read in a fraction of a second.

In: a folder, recordings. Out: heads and SnapshotColumns, the same as from the lines themselves. One file a recording
file, named by a hash of its bytes: a recording that changes gets another one, and the folder can be removed at any
time. What cannot be read there is made anew, what cannot be written there is not kept. Reads and writes disk.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_exchange.recorded.chain import SnapshotColumns, snapshot_columns
from paper_exchange.recorded.files import RecordHead, RecordingError, in_time, recording_files, say, scan_file

LAYOUT = 2  # of the files below, and of what is checked before one is made; another number makes all of them anew
FIELDS_OF_FILE = (
    *("recorded_at_ms", "currency", "index_price_usd", "line_number", "offset", "length"),
    *("begins", "names", "name_of", "underlyings", "underlying_of", "figures"),
)
FILES_KEPT = 4  # in memory: the months of both coins, now and next

Arrays = dict[str, NDArray[Any]]


class ColumnFiles:
    """The column files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place_of: dict[Path, Path] = {}
        self._open: dict[Path, _File] = {}

    def scan(self, recording: Path) -> list[RecordHead]:
        """Heads of all lines of all files, by time. Raises RecordingError as scan_recording does."""
        return in_time([head for path in recording_files(recording) for head in self._heads(path)], recording)

    def columns(self, head: RecordHead) -> SnapshotColumns | None:
        """The snapshot a head stands for; None where it was not kept, or not any more."""
        place = self._place_of.get(head.path)
        if place is None:
            return None
        if place not in self._open:
            while len(self._open) >= FILES_KEPT:
                del self._open[next(iter(self._open))]
            arrays = _read(place)
            if arrays is None:
                return None
            self._open[place] = _File(arrays)
        return self._open[place].columns(head.line_number)

    def _heads(self, path: Path) -> list[RecordHead]:
        name = _hash(path)
        place = self._folder / f"{name}-{LAYOUT}.npz"
        arrays = _read(place)
        if arrays is not None:
            self._place_of[path] = place
            return _heads_in(arrays, path)
        heads, snapshots, torn = list[RecordHead](), list[SnapshotColumns](), list[str]()
        for head, record in scan_file(path, torn.append):
            heads.append(head)
            snapshots.append(snapshot_columns(record, head))
        for words in torn:
            say(words)  # each time that it is read: such a file is not kept
        is_whole = len(heads) > 0 and not torn and _hash(path) == name  # it may have grown meanwhile
        if is_whole and _write(place, _arrays_of(heads, snapshots)):
            self._place_of[path] = place
        return heads


class _File:
    """One file in memory."""

    def __init__(self, arrays: Arrays) -> None:
        self._names, self._underlyings = arrays["names"].tolist(), arrays["underlyings"].tolist()
        self._name_of, self._underlying_of = arrays["name_of"], arrays["underlying_of"]
        self._figures, self._begins = arrays["figures"], arrays["begins"]
        self._row_of = {number: row for row, number in enumerate(arrays["line_number"].tolist())}
        self._tuples: dict[bytes, tuple[str, ...]] = {}  # the same names are the same tuple

    def columns(self, line_number: int) -> SnapshotColumns:
        row = self._row_of[line_number]
        rows = slice(self._begins[row], self._begins[row + 1])
        numbers = self._name_of[rows]
        names = self._tuples.get(numbers.tobytes())
        if names is None:
            names = tuple(map(self._names.__getitem__, numbers.tolist()))
            self._tuples[numbers.tobytes()] = names
        underlyings = [*map(self._underlyings.__getitem__, self._underlying_of[rows].tolist())]
        return SnapshotColumns(names, self._figures[:, rows], underlyings)


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error


def _arrays_of(heads: list[RecordHead], snapshots: list[SnapshotColumns]) -> Arrays:
    """All snapshots one after the other; texts as numbers into a table of them."""
    names, name_of = _numbered([name for one in snapshots for name in one.names])
    underlyings, underlying_of = _numbered([text for one in snapshots for text in one.underlying_indexes])
    return {
        "recorded_at_ms": np.array([head.recorded_at_ms for head in heads]),
        "currency": np.array([head.currency for head in heads]),
        "index_price_usd": np.array([head.index_price_usd for head in heads]),
        "line_number": np.array([head.line_number for head in heads]),
        "offset": np.array([head.offset for head in heads]),
        "length": np.array([head.length for head in heads]),
        "begins": np.cumsum([0, *(len(one.names) for one in snapshots)]),
        "names": names,
        "name_of": name_of,
        "underlyings": underlyings,
        "underlying_of": underlying_of,
        "figures": np.concatenate([one.figures for one in snapshots], axis=1),
    }


def _numbered(texts: list[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    number_of = np.fromiter(map(numbers.__getitem__, texts), dtype=np.int32, count=len(texts))
    return np.array([*numbers], dtype=np.str_), number_of


def _heads_in(arrays: Arrays, path: Path) -> list[RecordHead]:
    fields = ("recorded_at_ms", "currency", "index_price_usd", "line_number", "offset", "length")
    rows = zip(*(arrays[field].tolist() for field in fields), strict=True)
    return [RecordHead(at, coin, price, path, number, *place) for at, coin, price, number, *place in rows]


def _read(place: Path) -> Arrays | None:
    try:
        with place.open("rb") as opened, np.load(opened) as file:
            return {name: file[name] for name in FIELDS_OF_FILE}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(place: Path, arrays: Arrays) -> bool:
    """Whole or not at all; whether it is there."""
    half = place.with_name(f"{place.stem}.{os.getpid()}.half")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with half.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        half.replace(place)
    except OSError:
        with suppress(OSError):
            half.unlink()
        return False
    return True
