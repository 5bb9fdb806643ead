"""A dashboard in a process of its own, timed from outside: CPU, memory, first byte, whole page, events.

In: a log folder, a folder for its index. Out: seconds and megabytes. Starts one process, ends it, talks to it over
loopback. Linux: reads /proc.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from config import PROJECT_FOLDER

PATIENCE_SECONDS = 3_600.0
TICKS = os.sysconf("SC_CLK_TCK")


class Page(NamedTuple):
    """A page that was fetched: seconds to its first byte and to its last, CPU of the server for it."""

    status: int
    first_seconds: float
    whole_seconds: float
    cpu_seconds: float
    text: str


@dataclass
class Served:
    """A running dashboard."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Of the process and all its threads since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024.0

    def page(self, address: str = "/") -> Page:
        """One page; ConnectionError while nobody listens yet."""
        used, began = self.cpu_seconds(), time.monotonic()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("GET", address)
            answer = connection.getresponse()
            first = answer.read(1)
            first_seconds = time.monotonic() - began
            text = (first + answer.read()).decode("utf-8", "replace")
        return Page(answer.status, first_seconds, time.monotonic() - began, self.cpu_seconds() - used, text)

    def health(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.page("/health").text)
        return found

    def wait_until_read(self) -> list[int]:
        """Until the whole log is in the index; the number of lines that each look showed on the way."""
        seen: list[int] = []
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            with suppress(OSError):
                found = self.health()
                seen.append(int(str(found["lines"])))
                if found["index_done"]:
                    return seen
            time.sleep(0.25)
        raise TimeoutError("the index was not done in time")


@contextmanager
def served(log: Path, data_dir: Path) -> Iterator[Served]:
    """A dashboard on a free port, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "dashboard", str(log), "--data-dir", str(data_dir), "--port", str(port)]
    process = subprocess.Popen(command, cwd=PROJECT_FOLDER, stdout=subprocess.DEVNULL)
    try:
        yield Served(port, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@dataclass
class Viewer:
    """Somebody who looks at the live page: hears of each line and fetches the page again, as page.js does."""

    server: Served
    heard: threading.Event = field(default_factory=threading.Event)
    events: int = 0
    pages: int = 0
    _ends: bool = False

    def start(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        self._ends = True

    def _listen(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("GET", "/events")
            answer = connection.getresponse()
            while not self._ends and (line := answer.readline()):
                if line.startswith(b"data:"):
                    self.events += 1
                    self.heard.set()
                    self.pages += self.server.page().status == 200
