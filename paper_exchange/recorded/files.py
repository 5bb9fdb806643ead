"""Finding and reading recorded chain files (.jsonl or .jsonl.gz), one snapshot a line.

In: a file, or a folder with files anywhere below it. Out: one RecordHead a line (time in ms, coin, index in USD,
place in the file), sorted by time, and the line itself when asked for. Reads disk. Anything damaged is a
RecordingError that names file and line.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".jsonl", ".jsonl.gz")
READERS_KEPT = 4
RECORD_FIELDS: dict[str, type | tuple[type, ...]] = {
    "recorded_at": int,
    "currency": str,
    "index_price": (int, float),
    "book_summaries": list,
}

# The fields come first in every line, so a line of 150 kB need not be parsed to be found again.
_HEAD = re.compile(rb'\{\s*"recorded_at":\s*(\d+),\s*"currency":\s*"(\w+)",\s*"index_price":\s*([\d.eE+-]+),')
_HEAD_BYTES = 200


LATEST_MS = 7_258_118_400_000  # the year 2200


class RecordingError(OSError):
    """A recording cannot be used; the message says which file and line, and why."""


@dataclass(frozen=True, slots=True)
class RecordHead:
    """Where one snapshot of one coin is, and what is needed to know before reading it."""

    recorded_at_ms: int
    currency: str
    index_price_usd: float
    path: Path
    line_number: int
    offset: int
    length: int

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line_number}"


def scan_recording(recording: Path) -> list[RecordHead]:
    """Heads of all lines, by time. Raises RecordingError if anything is damaged or nothing is there."""
    heads = [head for path in _files(recording) for head in _scan_file(path)]
    if len(heads) == 0:
        raise RecordingError(f"{recording}: no snapshot in it")
    return sorted(heads, key=lambda head: head.recorded_at_ms)


def _files(recording: Path) -> list[Path]:
    if recording.is_file():
        return [recording]
    if not recording.is_dir():
        raise RecordingError(f"{recording}: no such file or folder")
    found = sorted(path for path in recording.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    if len(found) == 0:
        raise RecordingError(f"{recording}: no .jsonl or .jsonl.gz file in this folder")
    return found


def _scan_file(path: Path) -> Iterator[RecordHead]:
    offset = 0
    line_number = 0
    try:
        with _open(path) as lines:
            for line_number, line in enumerate(lines, start=1):
                if line.strip() != b"":
                    yield _head(line, path, line_number, offset)
                offset += len(line)
    except RecordingError:
        raise
    except EOFError:
        raise RecordingError(f"{path}, line {line_number + 1}: the gzip file is cut off") from None
    except (OSError, zlib.error) as error:
        raise RecordingError(f"{path}, line {line_number + 1}: cannot be read: {error}") from error


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.GzipFile(path, "rb") if path.name.endswith(".gz") else path.open("rb")


def _head(line: bytes, path: Path, line_number: int, offset: int) -> RecordHead:
    place = f"{path}, line {line_number}"
    if not line.rstrip().endswith(b"}"):
        raise RecordingError(f"{place}: the line is cut off")
    recorded_at_ms, currency, index_price_usd = _head_fields(line, place)
    return RecordHead(recorded_at_ms, currency, index_price_usd, path, line_number, offset, len(line))


def _head_fields(line: bytes, place: str) -> tuple[int, str, float]:
    match = _HEAD.match(line[:_HEAD_BYTES])
    if match is None:
        record = parse_record(line, place)
        recorded_at, currency, index_price = (record[name] for name in ("recorded_at", "currency", "index_price"))
    else:
        recorded_at, currency = int(match[1]), match[2].decode()
        index_price = _number(match[3], place)
    if not 0 <= recorded_at <= LATEST_MS:
        raise RecordingError(f"{place}: recorded_at {recorded_at} is not a time in milliseconds since 1970")
    if isinstance(index_price, bool) or not isinstance(index_price, int | float):
        raise RecordingError(f"{place}: index_price is not a number")
    if not 0.0 < index_price < math.inf:
        raise RecordingError(f"{place}: index_price is not a positive number")
    return recorded_at, currency, float(index_price)


def _number(text: bytes, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecordingError(f"{place}: index_price is not a number") from None


def parse_record(line: bytes, place: str) -> dict[str, Any]:
    """One line as JSON, its four fields checked."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise RecordingError(f"{place}: not JSON") from None
    if not isinstance(record, dict):
        raise RecordingError(f"{place}: not an object with recorded_at, currency, index_price, book_summaries")
    for name, kind in RECORD_FIELDS.items():
        if not isinstance(record.get(name), kind):
            raise RecordingError(f"{place}: {name} is missing or of the wrong type")
    return record


class RecordReader:
    """Reads single lines again. Forward through a gzip file is cheap, backward starts it anew."""

    def __init__(self) -> None:
        self._unpacked: dict[Path, gzip.GzipFile] = {}

    def read(self, head: RecordHead) -> dict[str, Any]:
        """The snapshot a head stands for."""
        try:
            line = self._line(head)
        except (OSError, EOFError, zlib.error) as error:
            raise RecordingError(f"{head.place}: cannot be read: {error}") from error
        return parse_record(line, head.place)

    def _line(self, head: RecordHead) -> bytes:
        if head.path.name.endswith(".gz"):
            unpacked = self._unpacked_file(head.path)
            unpacked.seek(head.offset)
            return unpacked.read(head.length)
        with head.path.open("rb") as lines:
            lines.seek(head.offset)
            return lines.read(head.length)

    def _unpacked_file(self, path: Path) -> gzip.GzipFile:
        """A few packed files stay in memory, so that no file stays open."""
        if path not in self._unpacked:
            while len(self._unpacked) >= READERS_KEPT:
                del self._unpacked[next(iter(self._unpacked))]
            self._unpacked[path] = gzip.GzipFile(fileobj=io.BytesIO(path.read_bytes()))
        return self._unpacked[path]
