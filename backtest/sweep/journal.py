"""trials.jsonl: a line for every trial that was ever run, so that nothing is run twice and no trial is forgotten.

In: the file, rows to add. Out: the rows. A line that a kill has cut off is left where it is and told about; the next
line begins below it. Writes are flushed to disk line by line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from backtest.sweep.trials import TrialRow
from models import ConfigurationError


class Journal:
    """The rows by trial, in the order in which they were run; `unreadable` counts lines that are none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, TrialRow] = {}
        self.unreadable = 0
        self._read()

    @property
    def rows(self) -> Mapping[str, TrialRow]:
        return self._rows

    def add(self, row: TrialRow) -> None:
        """Write it down before anything else is done with it; raises ConfigurationError where that fails."""
        line = row.model_dump_json(exclude_defaults=True) + "\n"
        try:
            with self._path.open("ab+") as file:
                file.write(self._end_of_a_torn_line() + line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be written: {error.strerror}") from None
        self._rows[row.trial] = row

    def _end_of_a_torn_line(self) -> bytes:
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return b""
            file.seek(-1, os.SEEK_END)
            return b"" if file.read(1) == b"\n" else b"\n"

    def _read(self) -> None:
        if not self._path.exists():
            return
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as error:
            raise ConfigurationError(f"{self._path}: {error.strerror}") from None
        for line in lines:
            try:
                row = TrialRow.model_validate_json(line)
            except ValidationError:
                self.unreadable += 1
            else:
                self._rows[row.trial] = row
