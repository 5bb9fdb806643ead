"""What a policy changes for the whole process is put back after each call, and what it leaves running is named.

In: nothing. Out: a process whose decimal precision, locale, signal handlers, working folder, environment and the like
are those from before. A policy is ordinary code in our process: a library it uses may change any of these unasked.
"""

from __future__ import annotations

import decimal
import locale
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from policies.secret_texts import environment

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(name) for name in SIGNALS)


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    for name, handler in zip(SIGNALS, handlers, strict=True):
        signal.signal(name, handler)


def _umask() -> int:
    mask = os.umask(0o077)  # there is no way to read it but to set it
    os.umask(mask)
    return mask


def _set_environment(values: dict[bytes, bytes]) -> None:
    os.environb.clear()
    os.environb.update(values)


def _set_streams(streams: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = streams


# How each is read, and how it is put back.
KEPT: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (lambda: decimal.getcontext().copy(), decimal.setcontext),  # never equal, so always put back
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (_handlers, _set_handlers),
    (random.getstate, random.setstate),
    (os.getcwd, os.chdir),
    (_umask, os.umask),
    (environment, _set_environment),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: (sys.stdout, sys.stderr), _set_streams),
)

_left_running: list[str] = []


@contextmanager
def process_put_back() -> Iterator[None]:
    """Whatever happens inside, the process is as it was before."""
    before, threads_before = [_read(read) for read, _ in KEPT], set(threading.enumerate())
    try:
        yield
    finally:
        _left_running.extend(thread.name for thread in threading.enumerate() if thread not in threads_before)
        for (read, put_back), value in zip(KEPT, before, strict=True):
            if value is not None and _read(read) != value:
                with suppress(Exception):
                    put_back(value)


def _read(read: Callable[[], Any]) -> Any:
    """None where it cannot be read, as a working folder that was removed."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - what cannot be read is not put back
        return None


def threads_left_running() -> list[str]:
    """Names of the threads that the calls since the last question have left running."""
    names = list(_left_running)
    _left_running.clear()
    return names
