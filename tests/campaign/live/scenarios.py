"""Rows of the catalogue that do not arrive as a reply: the real thing, small, fifty times each with other seeds.

In: a folder. Out: how often each row fired, and what was not as expected. A scenario raises AssertionError where the
agent does not behave; most run a healthy schedule of two iterations (`a_small_world`) with one thing about it
changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import IO

import agent_loop
import config as settings
from cli import setup as agent_setup
from models import AlreadyRunningError
from orders.order_log import OrderLogFile
from tests.builders.configs import agent_config
from tests.campaign.faults.disk import mounted
from tests.campaign.live.network_scenarios import NETWORK
from tests.campaign.world.schedule import Schedule, draw_schedule
from tests.campaign.world.trace import Trace
from tests.campaign.world.traces import fingerprint
from tests.campaign.world.world import World

TIMES = 50
TIME_ZONES = ("XXX-14", "XXX-5:45", "XXX+11", "EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "IST-5:30")
DEPENDENCIES = ("httpx", "pydantic", "pydantic_settings", "dotenv")
BIG_LOG_BYTES = 2 * 1024**3
MOST_READ_BYTES = 40_000_000
MOST_START_SECONDS = 5.0

Scenario = Callable[[Path, int], None]


@dataclass
class Outcome:
    """What the scenarios came to."""

    fires: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def run_scenarios(folder: Path, times: int = TIMES) -> Outcome:
    """All of them; a row stops at its first problem."""
    outcome = Outcome()
    for row, scenario in (SCENARIOS | NETWORK).items():
        for seed in range(times):
            place = folder / row / str(seed)
            place.mkdir(parents=True, exist_ok=True)
            try:
                scenario(place, seed)
            except AssertionError as problem:
                outcome.problems.append(f"{row}, seed {seed}: {problem}")
                break
            outcome.fires[row] = outcome.fires.get(row, 0) + 1
        shutil.rmtree(folder / row, ignore_errors=True)
    return outcome


# --- a healthy schedule to change one thing in ---------------------------------------------------


def a_healthy_schedule(seed: int, iterations: int = 2) -> Schedule:
    drawn = draw_schedule(77, seed)
    calm = {"crashes": (), "disk_faults": (), "acts": (), "intensity_pct": 0, "skew": "none", "policy": "rule_based"}
    return replace(drawn, iterations=iterations, tail=1, **calm)  # type: ignore[arg-type]


def a_small_world(folder: Path, seed: int) -> World:
    return World(a_healthy_schedule(seed), folder)


def run(world: World) -> Trace:
    with mounted(world.disk):
        return world.run()


# --- locks ------------------------------------------------------------------------------------------


def second_instance(folder: Path, seed: int) -> None:
    """P03: the same folder, or the same account from another folder."""
    if seed % 2 == 0:
        with held(agent_setup.take_lock(folder)):
            expect_already_running(lambda: agent_setup.take_lock(folder))
        return
    key = {"client_id": f"made-up-{os.getpid()}-{seed}", "client_secret": "made-up"}
    first, second = (agent_config(folder / name, deribit=key) for name in ("a", "b"))
    with held(agent_setup.take_account_lock(first)):
        expect_already_running(lambda: agent_setup.take_account_lock(second))


@contextlib.contextmanager
def held(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)


def expect_already_running(take: Callable[[], int]) -> None:
    try:
        handle = take()
    except AlreadyRunningError as error:
        if error.exit_code != 3:
            raise AssertionError(f"exit code {error.exit_code}") from None
        return
    os.close(handle)
    raise AssertionError("a second agent got the lock")


def stale_lock(folder: Path, seed: int) -> None:
    """P04: the holder is killed; the lock is free at once."""
    ready, say_ready = os.pipe()
    child = os.fork()
    if child == 0:
        agent_setup.take_lock(folder)
        os.write(say_ready, b"x")
        time.sleep(60.0)
        os._exit(0)
    try:
        os.read(ready, 1)
        expect_already_running(lambda: agent_setup.take_lock(folder))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(say_ready)
    os.close(agent_setup.take_lock(folder))


# --- the process and its console ----------------------------------------------------------------------


def closed_stdout(folder: Path, seed: int) -> None:
    """P07: nobody reads the console any more; the log goes on."""
    world = a_small_world(folder, seed)
    world.console = lambda: broken_pipe()  # type: ignore[assignment,return-value]
    trace = run(world)
    assert [life.end for life in trace.lives] == ["end"], [life.error for life in trace.lives]
    assert len(trace.decisions) == world.moment.round, "an iteration has no line"


def broken_pipe() -> IO[str]:
    read_end, write_end = os.pipe()
    os.close(read_end)
    return _Unclosable(write_end)


class _Unclosable(io.TextIOWrapper):
    """A console whose other end is gone, also when it is to be closed."""

    def __init__(self, handle: int) -> None:
        super().__init__(io.FileIO(handle, "w"), write_through=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def missing_dependency(folder: Path, seed: int) -> None:
    """P09: one line, exit code 2."""
    name = DEPENDENCIES[seed % len(DEPENDENCIES)]
    before = dict(sys.modules)
    for module_name, module in before.items():
        path = getattr(module, "__file__", None)
        is_ours = path is not None and Path(path).parent == settings.PROJECT_FOLDER and module_name != "agent_loop"
        if is_ours or module_name.partition(".")[0] == name:
            del sys.modules[module_name]
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        code, said = main_says("--once")
    finally:
        sys.modules.clear()
        sys.modules.update(before)
    assert code == 2, f"exit code {code}: {said}"
    assert said.count("\n") == 1, said
    assert "not installed" in said, said


def main_says(*arguments: str) -> tuple[int, str]:
    """Exit code of the command line, and what it said."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = agent_loop.main(list(arguments))
    return code, said.getvalue()


def folder_not_writable(folder: Path, seed: int) -> None:
    """P10: exit code 2, one line, before anything else."""
    in_the_way = folder / "a-file"
    in_the_way.write_text("")
    bad = (in_the_way / "logs", Path("/proc/no-such-folder"), Path("/dev/null/logs"))[seed % 3]
    option = ("--log-dir", "--data-dir")[seed % 2]
    other = {"--log-dir": "--data-dir", "--data-dir": "--log-dir"}[option]
    code, said = main_says("--market", "simulated", "--dry-run", "--once", option, str(bad), other, str(folder / "ok"))
    assert code == 2, f"exit code {code}: {said}"
    assert "Traceback" not in said, said


# --- files ----------------------------------------------------------------------------------------------


def big_log(folder: Path, seed: int) -> None:
    """D08: two gigabytes in the order log; the start reads its end only."""
    world = a_small_world(folder, seed)
    log = world.config.agent.log_dir
    log.mkdir(parents=True)
    path = log / f"orders-{world.clock.now():%Y-%m-%d}.jsonl"
    with path.open("wb") as file:
        file.truncate(BIG_LOG_BYTES)
        file.seek(0, io.SEEK_END)
        file.write(b'\n{"event":"nothing"}\n')
    read_before, started = bytes_read(), time.monotonic()
    OrderLogFile(log, world.clock, "testnet-1", "testnet")
    read = bytes_read() - read_before
    assert read <= MOST_READ_BYTES, f"{read / 1e6:.0f} MB were read at the start"
    assert time.monotonic() - started <= MOST_START_SECONDS, "the start took too long"
    path.unlink()


def bytes_read() -> int:
    """Bytes this process has asked the kernel for so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


def not_a_file(folder: Path, seed: int) -> None:
    """D10: a pipe, a folder, a socket or a device at the log's path: exit code 2, no request."""
    world = a_small_world(folder, seed)
    log = world.config.agent.log_dir
    log.mkdir(parents=True)
    path = log / f"{('orders', 'decisions')[seed // 4 % 2]}-{world.clock.now():%Y-%m-%d}.jsonl"
    kind = seed % 4
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to("/dev/full")
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    with mounted(world.disk), no_longer_than(MOST_START_SECONDS):
        world._live()  # one start is all there is to see
    life = world.trace.lives[0]
    assert (life.end, life.exit_code) == ("exit", 2), f"{life.end} {life.exit_code} {life.error}"
    assert not world.trace.calls, "requests were made"


@contextlib.contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Whoever waits for a pipe that nobody writes to is woken."""

    def bark(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"the start takes longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


# --- settings and policy ------------------------------------------------------------------------------------


def other_time_zone(folder: Path, seed: int) -> None:
    """C04: the machine's time zone changes nothing that is written."""
    expected = fingerprint(run(a_small_world(folder / "utc", seed)))
    before = os.environ.get("TZ")
    os.environ["TZ"] = TIME_ZONES[seed % len(TIME_ZONES)]
    time.tzset()
    try:
        found = fingerprint(run(a_small_world(folder / "elsewhere", seed)))
    finally:
        os.environ.pop("TZ")
        os.environ |= {} if before is None else {"TZ": before}
        time.tzset()
    assert found == expected, "another time zone, another log"


def env_edited(folder: Path, seed: int) -> None:
    """R03: a .env that changes while the agent runs is not read again."""
    env = folder / ".env"
    env.write_text("BTC_ORDER_SIZE=0.3\n")
    paths = {"agent": {"log_dir": folder / "logs", "data_dir": folder}, "risk": {"kill_file": folder / "KILL"}}
    world = World(a_healthy_schedule(seed), folder, settings.load_config(env, paths))
    world.on_round = lambda number: void(env.write_text(f"BTC_ORDER_SIZE=0.{number + 3}\nRISK_MAX_MARGIN_PCT=1\n"))
    trace = run(world)
    hashes = {line["config_hash"] for line in trace.decisions}
    assert len(hashes) == 1, f"{len(hashes)} different settings in one run"


def policy_replaced(folder: Path, seed: int) -> None:
    """R04: a policy file that is replaced while the agent runs is not loaded again."""
    name = f"policy_of_scenario_{os.getpid()}_{seed}"
    path = folder / f"{name}.py"
    path.write_text(_POLICY.format(reason="the first"))
    world = a_small_world(folder, seed)
    own = world.config.agent.model_copy(update={"policy": name})
    world.config = world.config.model_copy(update={"agent": own})
    world.keeps_own_policy = True
    world.on_round = lambda number: void(number > 1 and path.write_text(_POLICY.format(reason="the second")))
    sys.path.insert(0, str(folder))
    try:
        trace = run(world)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)
    reasons = {line["proposed_action"]["reason"] for line in trace.decisions}
    assert reasons == {"the first"}, f"decided by {reasons}"
    assert len({line["policy_hash"] for line in trace.decisions}) == 1


_POLICY = """
from models import ActionType, ProposedAction

def decide_action(agent_state, config):
    return ProposedAction(type=ActionType.DO_NOTHING, reason="{reason}")
"""


def void(_: object) -> None:
    """For hooks that must give nothing back."""


SCENARIOS: dict[str, Scenario] = {
    "P03": second_instance,
    "P04": stale_lock,
    "P07": closed_stdout,
    "P09": missing_dependency,
    "P10": folder_not_writable,
    "D08": big_log,
    "D10": not_a_file,
    "C04": other_time_zone,
    "R03": env_edited,
    "R04": policy_replaced,
}
