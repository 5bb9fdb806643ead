"""The agent's own command line in a process of its own, started in milliseconds, and a way to wait for it.

In: a folder, the exchange's URL, arguments. Out: a running process whose output goes to two files, its exit code.
A fork server with the agent already imported starts them (multiprocessing's "forkserver"); whatever a test does, no
process outlives its `with`. Locks of the account stay in the folder too.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import agent_loop
import config
from tests.builders.clocks import QuickStartClock, agent_runs_on
from tests.builders.configs import ANYTHING, KEY, LIMITS
from tests.campaign.canary import network_guard

POLICY = "tests.campaign.kills.child"
PATIENCE_SECONDS = 120.0  # for what takes well under a second on an idle machine
OUTSIDE_NAME = "outside.txt"  # every attempt to reach another machine; there is no such file where there was none


@dataclass(frozen=True)
class Start:
    """How a process is started. `closed`: descriptors (1, 2) whose reader is gone before the first word."""

    folder: Path
    url: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    name: str = "agent"
    memory_limit_bytes: int | None = None  # of address space

    def output(self, descriptor: int) -> Path:
        return self.folder / f"{self.name}.{'out' if descriptor == 1 else 'err'}"


@dataclass
class AgentProcess:
    """A process that was started."""

    start: Start
    process: ForkServerProcess

    @property
    def out(self) -> str:
        return self.start.output(1).read_text()

    @property
    def err(self) -> str:
        return self.start.output(2).read_text()

    def send(self, name: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, name)

    def wait(self, patience_seconds: float = PATIENCE_SECONDS) -> int:
        """The exit code; negative for a signal."""
        self.process.join(patience_seconds)
        assert self.process.exitcode is not None, f"still running: {self.out[-500:]} {self.err[-500:]}"
        return self.process.exitcode


@contextmanager
def started(start: Start) -> Iterator[AgentProcess]:
    """Run it; killed and gone at the end, if it is not already."""
    start.folder.mkdir(parents=True, exist_ok=True)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([POLICY, __name__])
    process = processes.Process(target=_run, args=(start,), daemon=True)
    process.start()
    try:
        yield AgentProcess(start, process)
    finally:
        if process.is_alive():
            process.kill()
        process.join(PATIENCE_SECONDS)
        process.close()
    _assert_nothing_got_out(start)


def _assert_nothing_got_out(start: Start) -> None:
    """No connect outside this machine (I18), no secret in what was said or written (I21)."""
    outside = start.folder / OUTSIDE_NAME
    assert not outside.exists(), outside.read_text()
    for path in (start.output(1), start.output(2), *sorted((start.folder / "logs").glob("*.jsonl"))):
        assert not path.is_file() or KEY[1].encode() not in path.read_bytes(), f"the secret stands in {path.name}"


def run_to_the_end(start: Start, patience_seconds: float = PATIENCE_SECONDS) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with started(start) as running:
        return running.wait(patience_seconds), running.out, running.err


def complaints(err: str) -> list[str]:
    """What stderr says, a text for each complaint; lines that were broken at 80 columns are joined again."""
    return err.replace("\n  ", " ").splitlines()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look every few milliseconds."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < ends_at, f"waited in vain until {what}"
        time.sleep(0.003)


# --- in the child ------------------------------------------------------------------------------------------


def _run(start: Start) -> None:
    """Set the stage, then the agent's own main; a start waits for nobody."""
    network_guard.install(start.folder / OUTSIDE_NAME)
    for descriptor in (1, 2):
        _redirect(start, descriptor)
    if start.memory_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (start.memory_limit_bytes, start.memory_limit_bytes))
    for name in [name for name in os.environ if name.upper() in config.SETTING_NAMES]:
        del os.environ[name]
    os.environ.update(_settings(start.url) | dict(start.environment))
    config.ENV_FILE = None
    os.environ["HOME"] = str(start.folder)  # where the lock of the account is
    with agent_runs_on(QuickStartClock):
        sys.exit(agent_loop.main(list(start.arguments)))


def _redirect(start: Start, descriptor: int) -> None:
    target = os.open(start.output(descriptor), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if descriptor in start.closed:
        reader, target = os.pipe()
        os.close(reader)
    os.dup2(target, descriptor)


def _settings(url: str) -> dict[str, str]:
    """Everything allowed, orders worked fast, by environment variables as an owner would set them."""
    settings = {"DERIBIT_BASE_URL": url, "DERIBIT_CLIENT_ID": KEY[0], "DERIBIT_CLIENT_SECRET": KEY[1]}
    settings |= {f"{coin}_{name.upper()}": str(value) for coin in ("BTC", "ETH") for name, value in ANYTHING.items()}
    settings |= {f"RISK_{name.upper()}": str(value) for name, value in LIMITS.items()}
    return settings | {"AGENT_ORDER_WAIT_SECONDS": "1", "AGENT_ORDER_PRICE_STEPS": "3"}


def folder_arguments(folder: Path) -> tuple[str, ...]:
    """Where a run keeps its files."""
    return "--log-dir", str(folder / "logs"), "--data-dir", str(folder / "data")
