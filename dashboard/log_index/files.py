"""The files of a log folder as they change under a reader: new bytes, torn ends, rotation, packing, deletion.

In: a path, plain or packed, and how far it was read. Out: whole lines with their places (bytes from the beginning, of
the unpacked text). A last line without an end is left for the next look. Reads files, writes none.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from logging_utils import log_files

HEAD_BYTES = 4_096
LONGEST_LINE_BYTES = 50_000_000  # a line of the agent is some 12,000


def decision_files(folder: Path) -> dict[str, Path]:
    """The files of the folder that may hold decisions, by the name that packing does not change."""
    try:
        found = log_files(folder)
    except OSError:
        return {}
    return {plain_name(path): path for path in found if not path.name.startswith("orders-")}


def plain_name(path: Path) -> str:
    return path.name.removesuffix(".gz")


def stamp_of(path: Path) -> str:
    """Changes whenever the file does; empty where it is gone."""
    try:
        about = path.stat()
    except OSError:
        return ""
    return f"{about.st_size}:{about.st_mtime_ns}:{about.st_ino}"


def head_of(path: Path) -> str:
    """What the file begins with, as a hash: the same however it is named and packed; empty before its first line."""
    try:
        with _opened(path) as file:
            first = file.readline(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return ""
    is_whole = first.endswith(b"\n") or len(first) == HEAD_BYTES
    return hashlib.sha256(first).hexdigest()[:16] if is_whole else ""


def lines_after(path: Path, position: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from a place on, each with its own place. OSError where the file cannot be read at all."""
    with _opened(path) as file:
        try:
            file.seek(position)
            while line := file.readline(LONGEST_LINE_BYTES):
                if not line.endswith(b"\n"):
                    return
                yield position, line
                position += len(line)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return  # packed, and cut: what came before it counts


def line_at(path: Path, position: int, length: int) -> bytes | None:
    """One line; None where the file is gone or ends before."""
    try:
        with _opened(path) as file:
            file.seek(position)
            line = file.read(length)
    except (OSError, EOFError, zlib.error):
        return None
    return line if len(line) == length else None


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
