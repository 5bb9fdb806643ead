"""What a policy changes for the whole process is put back after each call, and what it leaves running is named.

In: nothing. Out: a process whose decimal precision, locale, signal handlers, working folder, environment and the like
are those from before. A policy is ordinary code in our process: a library it uses may change any of these unasked. A
copy of the process that it makes and that would come back to us is ended: there is one agent.
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
from typing import Any, NoReturn

from policies.secret_texts import environment

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)  # the default of the last one kills


def _handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(name) for name in SIGNALS)


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    for name, handler in zip(SIGNALS, handlers, strict=True):
        signal.signal(name, handler)


def _blocked_signals() -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def _set_blocked_signals(numbers: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, numbers)


def _umask() -> int:
    mask = os.umask(0o077)  # there is no way to read it but to set it
    os.umask(mask)
    return mask


def _set_environment(values: dict[bytes, bytes]) -> None:
    os.environb.clear()
    os.environb.update(values)


def _set_streams(streams: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = streams


Kept = tuple[Callable[[], Any], Callable[[Any], Any]]  # how it is read, and how it is put back

PUT_BACK: tuple[Kept, ...] = (  # whether or not it was changed: to see that costs more, or cannot be done
    (lambda: decimal.getcontext().copy(), decimal.setcontext),
    (random.getstate, random.setstate),
)
PUT_BACK_IF_CHANGED: tuple[Kept, ...] = (
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (_handlers, _set_handlers),
    (_blocked_signals, _set_blocked_signals),
    (os.getcwd, os.chdir),
    (_umask, os.umask),
    (environment, _set_environment),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: (sys.stdout, sys.stderr), _set_streams),
)

_left_running: list[str] = []


@contextmanager
def process_put_back() -> Iterator[None]:
    """Whatever happens inside, the process is as it was before; a copy of it that was made inside ends here."""
    process, threads_before = os.getpid(), set(threading.enumerate())
    before = [_read(read) for read, _ in PUT_BACK]
    looked_at = [_read(read) for read, _ in PUT_BACK_IF_CHANGED]
    try:
        yield
    finally:
        if os.getpid() != process:
            _end_this_copy()
        _left_running.extend(thread.name for thread in threading.enumerate() if thread not in threads_before)
        for (_, put_back), value in zip(PUT_BACK, before, strict=True):
            _try(put_back, value)
        for (read, put_back), value in zip(PUT_BACK_IF_CHANGED, looked_at, strict=True):
            if value is not None and _read(read) != value:
                _try(put_back, value)
        _open_what_was_closed()


def _open_what_was_closed() -> None:
    """Console and handles 0 to 2: the next file or connection would take a free one, and the console write into it."""
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
    for name, handle in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not None and stream.closed:
            setattr(sys, name, open(handle, "w", buffering=1, errors="replace", closefd=False))  # noqa: SIM115


def _end_this_copy() -> NoReturn:
    """After os.fork in a policy: the copy holds our locks and our key, and would trade the account a second time."""
    with suppress(OSError):
        os.write(2, b"the policy has copied this process (os.fork): the copy ends here\n")
    os._exit(0)


def _read(read: Callable[[], Any]) -> Any:
    """None where it cannot be read, as a working folder that was removed."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - what cannot be read is not put back
        return None


def _try(put_back: Callable[[Any], Any], value: Any) -> None:
    with suppress(Exception):
        put_back(value)


def threads_left_running() -> list[str]:
    """Names of the threads that the calls since the last question have left running."""
    names = list(_left_running)
    _left_running.clear()
    return names
