"""What has been fetched already: one JSON line a cell in `manifest.jsonl`, the last line of a cell counts.

A line is written, and on disk, after the cell's file is. A torn or foreign line is as if it were not there: its cell is
fetched again. Reads and appends to one file.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from backtest.download.paging import Span


class CellNote(BaseModel):
    """One cell as it lies on disk. With doubts it is kept, but asked for again by the next run."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    coin: str
    cell: str
    start_ms: int
    end_ms: int
    rows: int
    sha256: str
    doubts: tuple[str, ...] = ()
    fetched_at: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.dataset, self.coin, self.cell

    def covers(self, span: Span) -> bool:
        """Whether all of the span was fetched without a doubt."""
        return len(self.doubts) == 0 and self.start_ms <= span.start_ms and span.end_ms <= self.end_ms


class Manifest:
    """The notes of one folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "manifest.jsonl"
        self._notes: dict[tuple[str, str, str], CellNote] = {}
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            note = CellNote.model_validate_json(line)
        except ValidationError:
            return
        self._notes[note.key] = note

    def note_of(self, dataset: str, coin: str, cell: str) -> CellNote | None:
        return self._notes.get((dataset, coin, cell))

    def add(self, note: CellNote) -> None:
        """Append a line; it begins with a line break, so that a torn one before it cannot swallow it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(b"\n" + note.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._notes[note.key] = note
