"""A disk that fails as a test says: full, slow, broken, for the files whose names begin so.

In: faults by the name of a system call. Out: while a `with` lasts, the logs are written through it. Files are real.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orders import jsonl_file

DiskFault = Callable[[Path], object]


class FaultyDisk:
    """The os module as orders.jsonl_file sees it. `faults`, by function, see the path first."""

    def __init__(self, faults: Mapping[str, DiskFault]) -> None:
        self._faults = dict(faults)
        self._paths: dict[int, Path] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        handle = os.open(path, flags, mode)
        self._paths[handle] = Path(path)
        return handle

    def write(self, handle: int, content: bytes) -> int:
        self._meet("write", handle)
        return os.write(handle, content)

    def fsync(self, handle: int) -> None:
        self._meet("fsync", handle)
        os.fsync(handle)

    def ftruncate(self, handle: int, size: int) -> None:
        self._meet("ftruncate", handle)
        os.ftruncate(handle, size)

    def _meet(self, name: str, handle: int) -> None:
        if name in self._faults:
            self._faults[name](self._paths[handle])


@contextmanager
def faulty_disk(**faults: DiskFault) -> Iterator[None]:
    """While this lasts the logs are written through a disk with these faults."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl_file, "os", FaultyDisk(faults))
        yield


def failing(code: int, prefix: str = "") -> DiskFault:
    """The operating system's error for every file whose name begins so."""

    def fault(path: Path) -> None:
        if path.name.startswith(prefix):
            raise OSError(code, os.strerror(code))

    return fault


@contextmanager
def disk_full(log_file: Path) -> Iterator[None]:
    """While this lasts every write to the log file, and to later parts of it, finds no space left."""
    with faulty_disk(write=failing(errno.ENOSPC, log_file.stem)):
        yield
