"""The mark of an account: its last order and those that may still be open, known even where every log is gone.

In: a path outside log and data folders; times by the exchange's clock. Out: one JSON object, forced to disk and
replaced whole; read back as a Mark. Talks to the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import AwareDatetime

from models import Frozen, LogWriteError

MAX_MARK_BYTES = 100_000


class MarkedOrder(Frozen):
    """An order that was about to leave `at` a time and is not known to have ended: enough to look it up."""

    label: str
    symbol: str
    at: AwareDatetime


class Mark(Frozen):
    """What outlives all logs. `at`: when an order last was about to leave, or was known to have ended."""

    at: AwareDatetime
    may_be_open: tuple[MarkedOrder, ...] = ()


def write_mark(path: Path, mark: Mark) -> None:
    """Replace the mark; raises LogWriteError, and then no order may leave."""
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_to_disk(new, mark.model_dump_json().encode() + b"\n")
        new.replace(path)
        _force_folder(path.parent)
    except OSError as error:
        raise LogWriteError(f"{path} cannot be written: {error.strerror}") from None


def read_mark(path: Path, now: AwareDatetime) -> Mark | None:
    """None where there never was an order; one that cannot be read counts as an order of this moment."""
    try:
        with path.open("rb") as file:
            return Mark.model_validate_json(file.read(MAX_MARK_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Mark(at=now)


def _write_to_disk(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _force_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
