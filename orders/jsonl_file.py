"""One JSONL file a day, written so that nothing is lost. Talks to the disk.

In: lines. Out: files `PREFIX-YYYY-MM-DD.jsonl`. A line is written whole or not at all, and where asked for forced to
disk before `write_line` returns; a torn last line found at the start is set aside, never glued to the next.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from datetime import date
from pathlib import Path

from models import Clock, LogWriteError

TORN_BYTES = 5_000_000


class JsonlLog:
    """Appends whole lines to one file a day. `force_to_disk` makes each line survive a power cut."""

    def __init__(self, folder: Path, prefix: str, clock: Clock, force_to_disk: bool = False) -> None:
        self._folder, self._prefix, self._clock = folder, prefix, clock
        self._force_to_disk = force_to_disk
        self._day, self._part, self._path = date.min, 1, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogWriteError(f"the log folder {folder} cannot be created: {error.strerror}") from None
        for path in files_of_last_days(folder, prefix, f"{clock.now():%Y-%m-%d}"):
            if not path.is_file():  # a device or a pipe would be read without end
                raise LogWriteError(f"{path} is not a file: move it away, or use --log-dir")
            try:
                set_torn_line_aside(path)
            except OSError as error:
                raise LogWriteError(f"{path} cannot be repaired: {error.strerror}") from None

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self) -> Path:
        """The file of the current day (UTC); a later part of it where an earlier one could not be forced to disk."""
        day = self._clock.now().date()
        if day != self._day:
            self._day, self._part = day, 1
            while os.access(self._path_of(self._part + 1), os.F_OK):  # a locked folder makes Path.exists raise
                self._part += 1
            self._path = self._path_of(self._part)
        return self._path

    def _path_of(self, part: int) -> Path:
        day = f"{self._prefix}-{self._day.isoformat()}"
        return self._folder / (f"{day}.jsonl" if part == 1 else f"{day}_{part}.jsonl")

    def write_line(self, text: str, may_be_lost: bool = False) -> None:
        """Append one line of JSON; raises LogWriteError and leaves no half line behind.

        `may_be_lost`: this one need not survive a power cut, even where the others must.
        """
        line, path = text.encode() + b"\n", self.path()
        is_forced = self._force_to_disk and not may_be_lost
        try:
            handle = self._opened(path)
            try:
                self._append(handle, line, is_forced)
                if is_forced:
                    _require_still_there(handle, path, len(line))
            finally:
                os.close(handle)
        except OSError as error:
            raise LogWriteError(f"{path.name} cannot be written: {error.strerror}") from None

    def _opened(self, path: Path) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:  # somebody has cleared the folder away
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o600)

    def _append(self, handle: int, line: bytes, is_forced: bool) -> None:
        """Write a line, to the disk itself if wanted; a line that failed is taken out again."""
        size_before = os.fstat(handle).st_size
        if size_before > 0 and os.pread(handle, 1, size_before - 1) != b"\n":
            self._begin_another_part()
            raise OSError(errno.ESTALE, "another program cut it in the middle of a line")
        try:
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if is_forced:
                self._force(handle, is_new=size_before == 0)
        except OSError:
            self._cut_off_failed_line(handle, size_before)
            raise

    def _cut_off_failed_line(self, handle: int, size_before: int) -> None:
        try:
            if os.fstat(handle).st_size > size_before:  # else somebody emptied it, and this would fill it with zeros
                os.ftruncate(handle, size_before)
        except OSError:
            self._begin_another_part()  # half a line may stand at the end of this one

    def _force(self, handle: int, is_new: bool) -> None:
        """Force a line to disk, with a new file its name too. A file that failed once is not trusted again."""
        try:
            os.fsync(handle)
            if is_new:
                self._force_folder()
        except OSError:
            self._begin_another_part()
            raise

    def _begin_another_part(self) -> None:
        self._part += 1
        self._path = self._path_of(self._part)

    def _force_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _require_still_there(handle: int, path: Path, size: int) -> None:
    """Raise OSError where somebody removed, renamed or emptied the file: after a restart nobody would know the line."""
    written, there = os.fstat(handle), path.stat()
    if not os.path.samestat(written, there) or there.st_size < size:
        raise OSError(errno.ESTALE, "another program replaced it while it was being written")


def files_of_last_days(folder: Path, prefix: str, today: str) -> list[Path]:
    """The files of the last two days up to today (2026-01-05), in the order of their names, parts in theirs.

    Files of later days are among them: our clock may have been ahead when they were written.
    """
    named = re.compile(rf"{prefix}-\d{{4}}-\d{{2}}-\d{{2}}(_\d+)?\.jsonl")  # copies under other names are not ours
    dated = [(path.stem.partition("_"), path) for path in folder.iterdir() if named.fullmatch(path.name)]
    days = sorted({day for (day, _, _), _ in dated})
    last = f"{prefix}-{today}"
    wanted = {*[day for day in days if day <= last][-2:], *[day for day in days if day > last]}
    in_order = sorted((day, int(part) if part.isdecimal() else 1, path) for (day, _, part), path in dated)
    return [path for day, _, path in in_order if day in wanted]


def set_torn_line_aside(path: Path) -> None:
    """Move the bytes after the last newline to a `.torn` file, so that the next line is never glued to them."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - TORN_BYTES))  # a line is far shorter, a log may be far longer
        content = file.read()
        if not content or content.endswith(b"\n"):
            return
        whole = content.rfind(b"\n") + 1
        with suppress(OSError):  # on a full disk half a line is given up: it was never known to be written
            _keep_aside(path.with_suffix(".torn"), content[whole:])
        file.truncate(start + whole)


def _keep_aside(path: Path, torn: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, torn + b"\n")
    finally:
        os.close(handle)
