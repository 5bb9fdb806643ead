"""Refuses and counts every attempt to reach anything but this machine, at the level of sockets.

In: `install()`, once per process. Out: `outside`, the addresses that were refused, oldest first; len(outside) is the
figure. Loopback (127.0.0.0/8, ::1, localhost) and unix sockets pass untouched. Names are refused before anybody is
asked what they mean, so no name server hears of them either. A child process is guarded by starting it through
`python -m tests.campaign.network_guard REPORT SCRIPT [ARGUMENT ...]`: each refusal is a line in REPORT at once, so that
it is there after a SIGKILL too.
"""

from __future__ import annotations

import ipaddress
import runpy
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

outside: list[str] = []
_report_files: list[Path] = []
_originals: dict[tuple[object, str], Callable[..., Any]] = {}


class OutsideConnectError(ConnectionRefusedError):
    """Somebody tried to leave this machine. An OSError, so that the code under test sees a network that is down."""


def install(report_file: Path | None = None) -> None:
    """Guard this process from now on; the second time only another report file is added."""
    if report_file is not None:
        _report_files.append(report_file)
    if _originals:
        return
    for method in ("connect", "connect_ex"):
        _wrap(socket.socket, method, lambda sock, address: address)
    _wrap(socket, "create_connection", lambda address, *_, **__: address)
    _wrap(socket, "getaddrinfo", lambda host, *_, **__: (host,))


@contextmanager
def expected() -> Iterator[list[str]]:
    """Refusals inside are a test's own: they end up in the list given out, not in `outside`."""
    before = len(outside)
    refused: list[str] = []
    try:
        yield refused
    finally:
        refused += outside[before:]
        del outside[before:]


def is_inside(address: object) -> bool:
    """Whether an address as sockets take it leads to this machine: a path, or a tuple that begins with the host."""
    if isinstance(address, str | bytes | bytearray):
        return True  # a unix socket
    if not isinstance(address, tuple) or not address:
        return False
    host = address[0].decode("ascii", errors="replace") if isinstance(address[0], bytes | bytearray) else address[0]
    if host in (None, "", "localhost"):
        return True  # nothing named is this machine
    try:
        numeric = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = numeric.ipv4_mapped if isinstance(numeric, ipaddress.IPv6Address) else None
    return numeric.is_loopback or (mapped is not None and mapped.is_loopback)


def _wrap(owner: Any, name: str, address_of: Callable[..., object]) -> None:
    original = getattr(owner, name)
    _originals[owner, name] = original

    def guarded(*arguments: Any, **named: Any) -> Any:
        address = address_of(*arguments, **named)
        if not is_inside(address):
            _refuse(name, address)
        return original(*arguments, **named)

    setattr(owner, name, guarded)


def _refuse(name: str, address: object) -> None:
    attempt = f"{name} to {address!r}"
    outside.append(attempt)
    for path in _report_files:
        with path.open("a", encoding="utf-8") as report:
            report.write(attempt + "\n")
    raise OutsideConnectError(f"{attempt}: only this machine may be contacted")


def main(arguments: list[str]) -> None:
    """Run a script as if it had been started itself, guarded."""
    report, script, *rest = arguments
    install(Path(report))
    sys.argv = [script, *rest]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
