"""The mark of an account: when its last order was about to leave, known even where every log is gone.

In: a path outside log and data folders; aware times by the exchange's clock. Out: one line of text, forced to disk and
replaced whole; read back as a time. Talks to the disk.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from models import LogWriteError

MAX_MARK_BYTES = 100


def write_mark(path: Path, moment: datetime) -> None:
    """Say that an order leaves; raises LogWriteError, and then none may."""
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_to_disk(new, moment.isoformat().encode() + b"\n")
        new.replace(path)
        _force_folder(path.parent)
    except OSError as error:
        raise LogWriteError(f"{path} cannot be written: {error.strerror}") from None


def read_mark(path: Path, now: datetime) -> datetime | None:
    """When the last order was about to leave: None where there was none, `now` where the mark cannot be read."""
    try:
        with path.open("rb") as file:
            moment = datetime.fromisoformat(file.read(MAX_MARK_BYTES).decode().strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return now
    return now if moment.tzinfo is None else moment


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
