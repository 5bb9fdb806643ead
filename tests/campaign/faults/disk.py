"""The disk under the agent's logs: an `os` that can be full, slow or broken, and that knows what a power cut leaves.

In: it takes the place of `jsonl_file.os` (`mounted`), counts writes of each log, and meets the schedule's disk
faults and crashes there. Out: everything else goes to the real os. Bytes count as safe once forced to disk, or half a
minute after they were written. Sizes in bytes.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orders import jsonl_file
from tests.builders.true_time import TrueTime
from tests.campaign.world.schedule import DiskFault

SAFE_AFTER_SECONDS = 30.0  # an operating system writes back what was not forced to disk within about this time
SLOW_FSYNC_SECONDS = 30.0
LABEL = re.compile(rb'"label": ?"(cc-[^"]*)"')

Fired = Callable[[str, str], None]  # row and site of a fault that has happened
CrashCheck = Callable[[str, str], None]  # place and moment; raises SimCrash where the agent is to die


@dataclass
class _File:
    """What is known of one file. `written` holds (time, size) of every write since the last safe one."""

    safe_size: int = 0
    written: list[tuple[datetime, int]] = field(default_factory=list)


class FaultyDisk:
    """Stands in for the os module inside jsonl_file."""

    def __init__(self, folder: Path, time: TrueTime, faults: tuple[DiskFault, ...]) -> None:
        self.folder = folder
        self.is_healthy = False
        self.on_fault: Fired = lambda row, site: None
        self.check_crash: CrashCheck = lambda place, moment: None
        self.destroyed: list[bytes] = []  # what outsiders deleted: it had been there
        self.damage_at_restart: list[DiskFault] = []
        self._time = time
        self._faults = faults
        self._writes = {"orders": 0, "decisions": 0}
        self._syncs = {"orders": 0, "decisions": 0}
        self._open: dict[int, Path] = {}
        self._files: dict[Path, _File] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    # --- what jsonl_file calls ----------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        handle = os.open(path, flags, mode)
        self._open[handle] = path if isinstance(path, Path) else Path(path)
        return handle

    def close(self, handle: int) -> None:
        self._open.pop(handle, None)
        os.close(handle)

    def write(self, handle: int, content: bytes) -> int:
        log = self._log_of(handle)
        if log is None:
            return os.write(handle, content)
        self._writes[log] += 1
        place = "order_write" if log == "orders" else "decision_write"
        self.check_crash(place, "before")
        row = self._due("write", log)
        if row in ("D01", "D02"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if row == "D04":
            return self._write(handle, content[: len(content) // 2])
        try:
            self.check_crash(place, "inside")
        except BaseException:
            self._write(handle, content[: 1 + len(content) * 2 // 3])
            raise
        written = self._write(handle, content)
        self.check_crash(place, "written")
        if row == "D05":
            self._lose_file(self._open[handle])
        return written

    def fsync(self, handle: int) -> None:
        log = self._log_of(handle)
        if log is not None:
            self._syncs[log] += 1
            row = self._due("sync", log)
            if row == "D03":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if row == "D09":
                self._time.sleep(SLOW_FSYNC_SECONDS)
            self._note_safe(self._open[handle])
            self.check_crash("order_write" if log == "orders" else "decision_write", "synced")

    def _write(self, handle: int, content: bytes) -> int:
        written = os.write(handle, content)
        known = self._files.setdefault(self._open[handle], _File())
        known.written.append((self._time.now(), os.fstat(handle).st_size))
        return written

    def _log_of(self, handle: int) -> str | None:
        name = self._open[handle].name if handle in self._open else ""
        return next((log for log in ("orders", "decisions") if name.startswith(f"{log}-")), None)

    def _note_safe(self, path: Path) -> None:
        known = self._files.setdefault(path, _File())
        known.safe_size, known.written = path.stat().st_size if path.exists() else 0, []

    # --- faults ------------------------------------------------------------------------

    def _due(self, step: str, log: str) -> str | None:
        """The row of the fault that meets this write or fsync, if any; noted as fired."""
        if self.is_healthy:
            return None
        number = self._writes[log]
        for fault in self._faults:
            is_sync = fault.row in ("D03", "D09")
            if fault.log == log and is_sync == (step == "sync") and fault.nth <= number < fault.nth + fault.writes:
                self.on_fault(fault.row, f"disk:{log}")
                if fault.row in ("D06", "D07"):
                    self.damage_at_restart.append(fault)
                    self.check_crash("damage", "now")
                return fault.row
        return None

    def _lose_file(self, path: Path) -> None:
        """Somebody deletes, renames or empties the file that is being written."""
        content = path.read_bytes() if path.exists() else b""
        self.destroyed.append(content)
        form = len(content) % 3
        if form == 0:
            path.unlink(missing_ok=True)
        elif form == 1:
            path.rename(path.with_suffix(f".jsonl.{len(self.destroyed)}"))
        else:
            path.write_bytes(b"")
        self._files.pop(path, None)

    def lose_all(self, form: int) -> None:
        """Somebody deletes all logs, or moves them to another folder."""
        elsewhere = self.folder.with_name(f"logs-of-before-{len(self.destroyed)}")
        elsewhere.mkdir()
        for path in sorted(path for path in self.folder.iterdir() if path.is_file()):
            self.destroyed.append(path.read_bytes())
            path.unlink() if form % 2 else path.rename(elsewhere / path.name)
        self._files.clear()

    # --- crashes --------------------------------------------------------------------------

    def cut_power(self) -> int:
        """Only what is surely on disk is still there; how many bytes were lost."""
        lost = 0
        for path in self._files:
            size = path.stat().st_size if path.exists() else 0
            safe = self.safe_size(path)
            if safe < size:
                os.truncate(path, safe)
                lost += size - safe
        return lost

    def safe_size(self, path: Path) -> int:
        """How much of a file a power cut would leave now."""
        known = self._files.get(path, _File())
        limit = self._time.now().timestamp() - SAFE_AFTER_SECONDS
        old = [size for at, size in known.written if at.timestamp() <= limit]
        return max([known.safe_size, *old])

    def synced_bytes(self, path: Path) -> bytes:
        """What of a file was forced to disk."""
        return path.read_bytes()[: self._files.get(path, _File()).safe_size] if path.exists() else b""

    def close_all(self) -> None:
        """The handles of a process that died."""
        for handle in list(self._open):
            self.close(handle)

    def damage(self, tear_at: int) -> None:
        """What D06 and D07 do to the files while the agent is down."""
        for fault in self.damage_at_restart:
            for path in sorted(self.folder.glob(f"{fault.log}-*.jsonl"))[-1:]:
                self._tear(path, tear_at) if fault.row == "D06" else self._corrupt(path)
        self.damage_at_restart = []

    def _tear(self, path: Path, tear_at: int) -> None:
        """The first bytes of a line that never came to its end."""
        content = path.read_bytes()
        last = content[: content.rfind(b"\n")].rpartition(b"\n")[2]
        if last and content.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(last[: 1 + tear_at % len(last)])

    def _corrupt(self, path: Path) -> None:
        lines = path.read_bytes().split(b"\n")
        middle = len(lines) // 2
        if lines[middle]:
            self.destroyed.append(lines[middle])
            lines[middle] = b"\x00" * 8 + lines[middle][8:]
            path.write_bytes(b"\n".join(lines))

    # --- what is there ------------------------------------------------------------------------

    def has_intent(self, label: str) -> bool:
        """Whether a whole intent line of this label is in a file (or was, before outsiders destroyed it)."""
        wanted = label.encode()
        texts = [path.read_bytes() for path in self.folder.glob("orders-*") if path.is_file()]
        for text in [*texts, *self.destroyed]:
            whole = text[: text.rfind(b"\n") + 1] if b"\n" in text else text
            if any(b'"intent"' in line and wanted in line for line in whole.split(b"\n") if wanted in line):
                return True
        return False


@contextmanager
def mounted(disk: FaultyDisk) -> Iterator[None]:
    """While this lasts the logs are written through the faulty disk."""
    real = vars(jsonl_file)["os"]
    vars(jsonl_file)["os"] = disk
    try:
        yield
    finally:
        vars(jsonl_file)["os"] = real
