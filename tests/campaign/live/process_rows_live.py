"""Process rows: signals, second instances, locks after a kill, closed consoles, suspension, broken installations.

In: a seed, an empty folder. Out: nothing, or an AssertionError. Each row starts real processes of the agent (its own
command line, real time) against an exchange on a loopback socket in this process.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from config import PROJECT_FOLDER, SETTING_NAMES
from paper_exchange.account.ledger import LedgerEvent
from tests.campaign.kills.child import LifePlan, live
from tests.campaign.live import bent_server
from tests.campaign.live.agent_process import (
    POLICY,
    AgentProcess,
    Start,
    complaints,
    folder_arguments,
    run_to_the_end,
    started,
    wait_until,
)
from tests.campaign.live.bent_server import BentServer
from tests.campaign.live.wire_bench import scripted_exchange

MAX_STOP_SECONDS = 20.0  # far below the rest between two iterations
SUSPENDED_SPEED, SUSPENDED_SECONDS = 75.0, 1.4
# No decision, because the snapshot is too old; or a decision, and the order is not sent.
SUSPENDED_ENDS = (("DO_NOTHING", "none"), ("OPEN_COVERED_CALL", "not_filled"), ("OPEN_COVERED_CALL", "none"))
MAX_SNAPSHOT_AGE_SECONDS = 75.0  # 60 s for the snapshot, and the time until the order arrives
QUIET = "tests.campaign.world.quiet_policy"
HELD_CALLS = (
    "private/get_open_orders",
    "private/get_positions",
    "public/get_book_summary_by_currency",
    "public/ticker",
    "private/sell",
)


@contextmanager
def exchange_for(speed: float = 1.0) -> Iterator[BentServer]:
    """A healthy exchange with one call for sale."""
    exchange, _ = scripted_exchange(speed)
    with BentServer(exchange).running() as server:
        yield server


def start_of(folder: Path, server: BentServer, *arguments: str, policy: str = POLICY, name: str = "agent") -> Start:
    return Start(folder, server.url, ("--policy", policy, *folder_arguments(folder), *arguments), name=name)


def decisions_in(folder: Path) -> list[dict[str, object]]:
    """All whole lines; each has to parse."""
    found = []
    for path in sorted((folder / "logs").glob("decisions-*.jsonl")):
        found += [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return found


def _is_asleep(folder: Path) -> Callable[[], bool]:
    return lambda: bool(list((folder / "logs").glob("decisions-*.jsonl"))) and bool(decisions_in(folder))


def _own_open_orders(server: BentServer) -> list[str]:
    return [order.label for order in server.exchange.account.open_orders() if order.label.startswith("cc-")]


def _assert_whole(folder: Path) -> None:
    """Every file ends with a whole line, and every line parses."""
    for path in (folder / "logs").glob("*.jsonl"):
        content = path.read_bytes()
        assert content.endswith(b"\n"), path
        for line in content.splitlines():
            json.loads(line)


# --- P02: asked to stop ------------------------------------------------------------------------------------


def row_p02(seed: int, folder: Path) -> None:
    """SIGTERM or SIGINT while idle, inside a call, inside the price ladder: code 0, nothing of ours left open."""
    name = (signal.SIGTERM, signal.SIGINT)[seed % 2]
    moment = (_stop_idle, _stop_in_a_call, _stop_in_the_ladder)[seed // 2 % 3]
    with exchange_for() as server:
        policy = QUIET if moment is _stop_idle else POLICY
        held = moment is _stop_in_a_call
        waiting, go_on = threading.Event(), threading.Event()
        if held:
            server.bend(random.Random(seed).choice(HELD_CALLS), bent_server.held(waiting, go_on))
        with started(start_of(folder, server, policy=policy)) as agent:
            seconds = moment(agent, server, name, waiting, go_on)
        assert seconds < MAX_STOP_SECONDS
        assert _own_open_orders(server) == []
        assert (agent.err, "Traceback" in agent.out) == ("", False)
        assert "stopped after" in agent.out
    _assert_whole(folder)


def _stop_idle(
    agent: AgentProcess, server: BentServer, name: signal.Signals, waiting: threading.Event, go_on: threading.Event
) -> float:
    wait_until(_is_asleep(agent.start.folder), "the first iteration is over")
    return _stopped(agent, name)


def _stop_in_a_call(
    agent: AgentProcess, server: BentServer, name: signal.Signals, waiting: threading.Event, go_on: threading.Event
) -> float:
    assert waiting.wait(20.0), "the call that should be held never came"
    threading.Timer(0.01, go_on.set).start()
    return _stopped(agent, name)


def _stop_in_the_ladder(
    agent: AgentProcess, server: BentServer, name: signal.Signals, waiting: threading.Event, go_on: threading.Event
) -> float:
    wait_until(lambda: bool(_own_open_orders(server)), "an order rests")
    time.sleep(0.002)
    return _stopped(agent, name)


def _stopped(agent: AgentProcess, name: signal.Signals) -> float:
    """Send the signal; how long the end took. It has to be code 0."""
    asked_at = time.monotonic()
    agent.send(name)
    assert agent.wait() == 0, agent.err
    return time.monotonic() - asked_at


# --- P03, P04: one writer ----------------------------------------------------------------------------------


def row_p03(seed: int, folder: Path) -> None:
    """A second agent, with the same folders or only the same account: code 3 before any request."""
    with exchange_for() as server, started(start_of(folder, server, policy=QUIET, name="first")) as first:
        wait_until(_is_asleep(folder), "the first agent is asleep")
        asked = len(server.asked)
        files = folder if seed % 2 else folder / "other"
        second = Start(folder, server.url, ("--once", *folder_arguments(files)), name="second")
        code, out, err = run_to_the_end(second)
        assert (code, out) == (3, ""), err
        assert ("another agent" in err, ".lock" in err, len(complaints(err))) == (True, True, 1)
        assert len(server.asked) == asked
        assert not list((folder / "other" / "logs").glob("*.jsonl"))
        first.send(signal.SIGTERM)
        assert first.wait() == 0


def row_p04(seed: int, folder: Path) -> None:
    """The locks of an agent that was killed do not keep the next one out, and their files stay."""
    with exchange_for() as server:
        with started(start_of(folder, server, policy=QUIET, name="first")) as first:
            wait_until(_is_asleep(folder), "the first agent is asleep")
            first.send(signal.SIGKILL)
            assert first.wait() == -signal.SIGKILL
        left = sorted(path.name for path in folder.rglob("*.lock"))
        assert len(left) == 3, left  # of the logs, the data, the account
        code, _, err = run_to_the_end(start_of(folder, server, "--once", policy=QUIET, name="second"))
        assert code == 0
        assert err == ""  # no order of the first may still be on its way
        assert sorted(path.name for path in folder.rglob("*.lock")) == left
    _assert_whole(folder)


# --- P07, P08 ----------------------------------------------------------------------------------------------


def row_p07(seed: int, folder: Path) -> None:
    """Nobody reads stdout, or stderr, or both any more: the log goes on, the code is that of the work."""
    closed = ((1,), (1, 2), (2,))[seed % 3]
    with exchange_for() as server:
        start = start_of(folder, server, "--once", policy=QUIET)
        code, out, err = run_to_the_end(Start(start.folder, start.url, start.arguments, closed=closed))
        assert code == 0
        assert (out == "" or 1 not in closed, err) == (True, "")
        assert len(decisions_in(folder)) == 1


def row_p08(seed: int, folder: Path) -> None:
    """Suspended in the middle of a call for longer than a snapshot may be old: nothing is sent on what was seen.

    Time runs faster here, so that less than a second asleep is more than a minute and a half.
    """
    accepted: list[LedgerEvent] = []
    with exchange_for(SUSPENDED_SPEED) as server:
        server.exchange.account.observers.append(lambda event: _keep(event, accepted))
        waiting, go_on = threading.Event(), threading.Event()
        server.bend(random.Random(seed).choice(HELD_CALLS[:-1]), bent_server.held(waiting, go_on))
        (folder / "logs").mkdir(parents=True)
        with _fast_life(folder, server, SUSPENDED_SPEED) as process:
            assert waiting.wait(20.0), "the call that should be held never came"
            os.kill(process, signal.SIGSTOP)
            go_on.set()
            time.sleep(SUSPENDED_SECONDS)
            os.kill(process, signal.SIGCONT)
            wait_until(_is_asleep(folder), "the iteration that was suspended is over")
            wait_until(lambda: bool(accepted), "a later iteration trades")
        ages = [(event.at - _decided_at(event.label)).total_seconds() for event in accepted]
        assert max(ages) <= MAX_SNAPSHOT_AGE_SECONDS, ages
        first = decisions_in(folder)[0]
        assert (first["action_type"], first["executed_status"]) in SUSPENDED_ENDS, first["error"]


def _keep(event: LedgerEvent, accepted: list[LedgerEvent]) -> None:
    if event.kind == "accepted":
        accepted.append(event)


def _decided_at(label: str) -> datetime:
    """The time in a label: the state that the order was decided on."""
    found = re.match(r"cc-(\d{12})-", label)
    assert found is not None, label
    return datetime.strptime(found.group(1), "%y%m%d%H%M%S").replace(tzinfo=UTC)


@contextmanager
def _fast_life(folder: Path, server: BentServer, speed: float) -> Iterator[int]:
    """A life as in the kill campaign; its process id."""
    import multiprocessing

    processes = multiprocessing.get_context("forkserver")
    local_start = server.exchange.market.clock.now() + timedelta(minutes=3)
    process = processes.Process(target=live, args=(LifePlan(1, server.url, folder, local_start, speed),), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        process.kill()
        process.join()


# --- P09, P10 ----------------------------------------------------------------------------------------------


def row_p09(seed: int, folder: Path) -> None:
    """A library that is missing, or of the wrong major version: one line, code 2, no file, no request."""
    stubs = folder / "stubs"
    library = ("httpx", "pydantic", "pydantic_settings", "dotenv", "numpy", "pydantic 1")[seed % 6]
    _stub(stubs, library)
    environment = {name: value for name, value in os.environ.items() if name.upper() not in SETTING_NAMES}
    done = subprocess.run(
        [sys.executable, str(PROJECT_FOLDER / "agent_loop.py"), "--once", *folder_arguments(folder)],
        env=environment | {"PYTHONPATH": str(stubs)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert (len(complaints(done.stderr)), "Traceback" in done.stderr) == (1, False), done.stderr
    assert library.split()[0].replace("dotenv", "").replace("_settings", "") in done.stderr
    assert not (folder / "logs").exists()


def _stub(folder: Path, library: str) -> None:
    """A module first on the path that is not what the agent needs."""
    folder.mkdir(parents=True)
    name = library.split()[0]
    if library == "pydantic 1":
        (folder / "pydantic.py").write_text("VERSION = '1.10.2'\n\n\nclass BaseModel:\n    pass\n")
        return
    (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n")


def row_p10(seed: int, folder: Path) -> None:
    """A folder that cannot be made or written: code 2 and its name, before any request."""
    ways: tuple[Callable[[Path], Path], ...] = (_file_as_logs, _file_as_data, _file_above, _in_proc)
    ways += (_read_only,) if os.geteuid() != 0 else ()  # root may write anywhere
    blocked = ways[seed % len(ways)](folder)
    with exchange_for() as server:
        start = Start(folder, server.url, ("--once", *folder_arguments(blocked)))
        code, out, err = run_to_the_end(start)
        assert (code, "Traceback" in err, len(complaints(err))) == (2, False, 1), err
        assert out == ""
        assert str(blocked) in err
        assert server.asked == []


def _file_as_logs(folder: Path) -> Path:
    (folder / "logs").write_text("in the way")
    return folder


def _file_as_data(folder: Path) -> Path:
    (folder / "data").write_text("in the way")
    return folder


def _file_above(folder: Path) -> Path:
    (folder / "above").write_text("in the way")
    return folder / "above" / "below"


def _in_proc(folder: Path) -> Path:
    return Path("/proc/no-such-folder")


def _read_only(folder: Path) -> Path:
    (folder / "closed").mkdir(mode=0o500)
    return folder / "closed"


LIVE_SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    "P02": row_p02,
    "P03": row_p03,
    "P04": row_p04,
    "P07": row_p07,
    "P08": row_p08,
    "P09": row_p09,
    "P10": row_p10,
}
