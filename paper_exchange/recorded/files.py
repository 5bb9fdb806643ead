"""Finding and reading recorded chain files (.jsonl or .jsonl.gz), one snapshot a line.

In: a file, or a folder with files anywhere below it. Out: one RecordHead a line (time in ms, coin, index in USD,
place in the file), sorted by time, and the line itself when asked for. Reads disk. Anything damaged is a
RecordingError that names file and line; only a last line that a stopped recorder left unfinished is skipped, with a
word on stderr.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic_core import from_json

from paper_exchange.market.names import parse_option_name
from paper_exchange.recorded.packed import members_of

SUFFIXES = (".jsonl", ".jsonl.gz")
COINS = ("BTC", "ETH")
READERS_KEPT = 4
READ_BYTES = 1 << 16
RECORD_FIELDS: dict[str, type | tuple[type, ...]] = {
    "recorded_at": int,
    "currency": str,
    "index_price": (int, float),
    "book_summaries": list,
}

# The fields come first in every line, so a line of 150 kB need not be parsed to be found again.
_HEAD = re.compile(rb'\{\s*"recorded_at":\s*(\d+),\s*"currency":\s*"(\w+)",\s*"index_price":\s*([\d.eE+-]+),')
_HEAD_BYTES = 200


NUMBER_FIELDS = (
    "bid_price",
    "ask_price",
    "mark_price",
    "mark_iv",
    "underlying_price",
    "open_interest",
    "volume",
    "last",
)
EARLIEST_MS, LATEST_MS = 1_230_768_000_000, 4_102_444_800_000  # the years 2009 and 2100


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
    lines = (line for path in recording_files(recording) for line in scan_file(path))
    return in_time([_checked(head, record) for head, record in lines], recording)


def in_time(heads: list[RecordHead], recording: Path) -> list[RecordHead]:
    """By time; raises RecordingError where there is none."""
    if len(heads) == 0:
        raise RecordingError(f"{recording}: no snapshot in it")
    return sorted(heads, key=lambda head: head.recorded_at_ms)


def recording_files(recording: Path) -> list[Path]:
    """The file, or those below the folder. Raises RecordingError where there is none."""
    if recording.is_file():
        return [recording]
    if not recording.is_dir():
        raise RecordingError(f"{recording}: no such file or folder")
    found = visible_files(recording, SUFFIXES)
    if len(found) == 0:
        raise RecordingError(f"{recording}: no .jsonl or .jsonl.gz file in this folder")
    return found


def visible_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files anywhere below a folder, without hidden ones: macOS puts a `._` companion beside each file it copies."""
    found = (path for path in folder.rglob("*") if path.name.endswith(suffixes) and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def say(words: str) -> None:
    """To the person who started this."""
    print(words, file=sys.stderr)


def scan_file(path: Path, on_torn: Callable[[str], None] = say) -> Iterator[tuple[RecordHead, dict[str, Any]]]:
    """Each line's head, and the line itself, whose numbers may be none; raises RecordingError.

    `on_torn` is told of an unfinished last line.
    """
    offset = 0
    line_number = 0
    try:
        with _open(path) as lines:
            for line_number, line in enumerate(lines, start=1):
                if _is_torn(line):
                    on_torn(f"{path}, line {line_number}: unfinished last line left out")
                elif line.strip() != b"":
                    yield _head(line, path, line_number, offset)
                offset += len(line)
    except RecordingError:
        raise
    except (EOFError, OSError, zlib.error) as error:
        if not _is_being_written(path):
            what = "the gzip file is cut off" if isinstance(error, EOFError) else f"cannot be read: {error}"
            raise RecordingError(f"{path}, line {line_number + 1}: {what}") from error
        on_torn(f"{path}, line {line_number + 1}: unfinished last line left out")


class _Unpacked(gzip.GzipFile):
    """Hands over what one read of it yields, so that lines before a torn end are not lost with it."""

    readinto = gzip.GzipFile.readinto1


def _open(path: Path) -> io.BufferedReader:
    """A line is longer than the eight thousand bytes that are usually read at once."""
    return io.BufferedReader(_Unpacked(path, "rb"), READ_BYTES) if path.name.endswith(".gz") else path.open("rb")


def _is_being_written(path: Path) -> bool:
    """Whether it is packed line by line and only its last line is not whole: a recorder was stopped, or is at it."""
    if not path.name.endswith(".gz"):
        return False
    with path.open("rb") as file:
        found = members_of(file)
    return found.whole_bytes > 0 and found.rest == "unfinished"


def _is_torn(line: bytes) -> bool:
    """Only the last line of a file can be without its end: a recorder was stopped while writing it."""
    return not line.endswith(b"\n") and line.strip() != b"" and not _is_json(line)


def _head(line: bytes, path: Path, line_number: int, offset: int) -> tuple[RecordHead, dict[str, Any]]:
    place = f"{path}, line {line_number}"
    if not line.rstrip().endswith(b"}"):
        raise RecordingError(f"{place}: the line is cut off")
    recorded_at_ms, currency, index_price_usd = _head_fields(line, place)
    record = parse_record(line, place)
    if not set(map(type, record["book_summaries"])) <= {dict}:
        raise RecordingError(f"{place}: a row of book_summaries is not an object")
    head = RecordHead(recorded_at_ms, currency, index_price_usd, path, line_number, offset, len(line))
    _require_own_options(head, record["book_summaries"])
    return head, record


def _head_fields(line: bytes, place: str) -> tuple[int, str, float]:
    match = _HEAD.match(line[:_HEAD_BYTES])
    if match is None:
        record = parse_record(line, place)
        recorded_at, currency, index_price = (record[name] for name in ("recorded_at", "currency", "index_price"))
    else:
        recorded_at, currency = int(match[1]), match[2].decode()
        index_price = _number(match[3], place)
    if not EARLIEST_MS <= recorded_at <= LATEST_MS:
        raise RecordingError(f"{place}: recorded_at {recorded_at} is not a time in milliseconds between 2009 and 2100")
    if isinstance(index_price, bool) or not isinstance(index_price, int | float):
        raise RecordingError(f"{place}: index_price is not a number")
    if not 0.0 < index_price < math.inf:
        raise RecordingError(f"{place}: index_price is not a positive number")
    return recorded_at, currency, float(index_price)


def _checked(head: RecordHead, record: dict[str, Any]) -> RecordHead:
    """Damage within a line is found before the run, not when its hour comes."""
    rows = record["book_summaries"]
    for field in NUMBER_FIELDS:
        values = [row.get(field) for row in rows]
        if not are_numbers(values):
            for row in rows:
                if parse_option_name(str(row.get("instrument_name"))) is not None:
                    row_number(row, field, head.place)
    return head


def _require_own_options(head: RecordHead, rows: list[dict[str, Any]]) -> None:
    """A row of another coin is passed over; a line of nothing else was recorded under the wrong name."""
    own = f"{head.currency}-"
    if any(str(row.get("instrument_name")).startswith(own) for row in rows):  # as a rule the first one
        return
    names = (str(row.get("instrument_name")) for row in rows)
    foreign = next((name for name in names if parse_option_name(name) is not None), None)
    if foreign is not None and head.currency in COINS:
        raise RecordingError(f"{head.place}: currency is {head.currency}, the options are others, such as {foreign}")


def are_numbers(values: Iterable[object]) -> bool:
    """As JSON writes them, or null."""
    return set(map(type, values)) <= {float, int, NoneType}


def _is_json(line: bytes) -> bool:
    try:
        from_json(line)
    except ValueError:
        return False
    return True


def row_number(row: dict[str, Any], field: str, place: str) -> float | None:
    """A field of a row as a number, None where it is missing, null or not finite."""
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordingError(f"{place}: {field} of {row['instrument_name']} is not a number")
    return float(value) if math.isfinite(value) else None


def _number(text: bytes, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecordingError(f"{place}: index_price is not a number") from None


def parse_record(line: bytes, place: str) -> dict[str, Any]:
    """One line as JSON, its four fields checked."""
    try:
        record = from_json(line)
    except ValueError:
        raise RecordingError(f"{place}: not JSON") from None
    return _checked_record(record, place)


def _checked_record(record: Any, place: str) -> dict[str, Any]:
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
