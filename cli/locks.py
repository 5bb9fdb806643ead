"""Locks: one agent to a folder, and one to a testnet account on this machine; where an account's files are.

In: a folder or the settings. Out: a Lock, held until its handle is closed or the process ends, however it ends.
Raises AlreadyRunningError, or ConfigurationError where nothing can be locked. Talks to the disk.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from config import AgentConfig
from core.text import printable
from logging_utils import short_hash
from models import AlreadyRunningError, ConfigurationError


class Lock(NamedTuple):
    """A file that this process holds, under the name by which others ask for it."""

    handle: int
    path: Path

    def release(self) -> None:
        with suppress(OSError):  # closed by a policy
            os.close(self.handle)

    def is_held(self) -> bool:
        """Whether that name still stands for the file held: it may be removed, renamed, or closed by a policy."""
        try:
            return os.path.samestat(os.fstat(self.handle), self.path.lstat())
        except OSError:
            return False


def take_lock(folder: Path, setting: str = "AGENT_DATA_DIR") -> Lock:
    """Hold a folder for this process; the kernel lets go of it however the process ends."""
    if folder.is_file():
        raise ConfigurationError(f"{setting}: {folder} is a file; a folder is needed")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _flock(folder / "agent.lock", f"another agent is running with {folder}: use --data-dir and --log-dir")
    except OSError as error:
        raise ConfigurationError(f"{setting}: {folder} cannot be written: {error.strerror}") from None


def take_account_lock(config: AgentConfig) -> Lock:
    """Hold the testnet account on this machine: two agents would each sell calls on the same coins.

    One place per user: a TMPDIR that differs between cron and a shell must let no second agent in.
    """
    path = account_file(config, "lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _flock(path, "another agent is trading this account")
    except OSError as error:
        raise ConfigurationError(f"the lock of the account, {path}, cannot be made: {error}") from None


def account_file(config: AgentConfig, ending: str) -> Path:
    """Where something is kept of the account itself, whatever the folders of a run; raises ConfigurationError."""
    client_id = config.deribit.client_id
    exchange = urlsplit(config.deribit.base_url)
    host = "loopback" if config.is_loopback else exchange.hostname
    account = f"{host} {exchange.port or 443} {client_id.get_secret_value() if client_id else ''}"
    try:
        return Path.home() / ".local" / "state" / "covered-call-agent" / f"{short_hash(account)}.{ending}"
    except RuntimeError as error:
        raise ConfigurationError(f"the {ending} of the account has no place: {error}") from None


def require_held(locks: Iterable[Lock]) -> None:
    """Raise AlreadyRunningError where the file of a lock is gone or another: somebody else may hold that one by now."""
    for lock in locks:
        if not lock.is_held():
            raise AlreadyRunningError(
                f"the lock {lock.path} was removed, replaced or closed: another agent may be running beside this one"
            )


def _flock(path: Path, problem: str) -> Lock:
    import fcntl  # not on Windows, where the environment and the log readers work and need no lock

    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if not isinstance(error, BlockingIOError):
            raise ConfigurationError(f"{path} cannot be locked: {error.strerror}") from None
        raise AlreadyRunningError(f"{problem} (lock {path}, held by {_holder(path)}); stop it first") from None
    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {platform.node()}\n".encode())
    return Lock(handle, path)


def _holder(path: Path) -> str:
    """What the holder of a lock wrote into it; the file itself is never touched."""
    text = path.read_bytes()[:200].decode(errors="replace").strip()
    return printable(text) or "an unknown process"
