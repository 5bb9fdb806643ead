"""Rows about a run and what changes around it: local time, kill files that cannot be read, settings and policies
edited meanwhile, restarts over and over while nothing works.

In: a seed, an empty folder. Out: nothing, or an AssertionError. The agent runs in this process with real files.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import httpx

import agent_loop
import config as settings
from cli import assembly, policy_file
from cli.assembly import Agent
from config import AgentConfig
from logging_utils import read_records
from models import TradingState
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.configs import KEY
from tests.builders.paper import START
from tests.campaign.live.agent_process import Start, complaints, folder_arguments, run_to_the_end
from tests.campaign.live.process_rows_live import exchange_for
from tests.campaign.live.row_desk import POLICY, QUIET, config_in, desk_at, link_to

HALT_EXIT_CODE = 6


# --- C04: local time ---------------------------------------------------------------------------------------

ZONES = (
    ("CET-1CEST,M3.5.0,M10.5.0/3", datetime(2026, 3, 28, 22, 30, tzinfo=UTC)),
    ("CET-1CEST,M3.5.0,M10.5.0/3", datetime(2026, 10, 24, 22, 30, tzinfo=UTC)),
    ("EST5EDT,M3.2.0,M11.1.0", datetime(2026, 3, 8, 5, 0, tzinfo=UTC)),
    ("EST5EDT,M3.2.0,M11.1.0", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
    ("LINT-14", datetime(2026, 12, 31, 22, 30, tzinfo=UTC)),
    ("XXX-5:45", datetime(2026, 1, 5, 12, 0, tzinfo=UTC)),
    ("XXX+11", datetime(2026, 1, 5, 12, 0, tzinfo=UTC)),
    ("IST-5:30", datetime(2028, 2, 28, 22, 30, tzinfo=UTC)),
)


def row_c04(seed: int, folder: Path) -> None:
    """Another time zone, through the night in which it changes its clocks: the same logs, byte for byte, all in UTC."""
    zone, start = ZONES[seed % len(ZONES)]
    logs = []
    for name, zone_of_run in (("utc", "UTC0"), ("local", zone)):
        with _local_time(zone_of_run):
            desk = desk_at(folder / name, start=start)
            for _ in range(5):
                desk.iterate()
                desk.agent.clock.sleep(2400.0)
        logs.append(desk.agent.config.run.log_dir)
    assert _hash_of(logs[0]) == _hash_of(logs[1])
    stamps = [str(line[key]) for line in read_records(logs[1]) for key in ("timestamp", "at") if key in line]
    assert len(stamps) > 5
    assert all(datetime.fromisoformat(stamp).utcoffset() == timedelta(0) for stamp in stamps)


@contextmanager
def _local_time(zone: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        os.environ.update({} if before is None else {"TZ": before})
        time.tzset()


def _hash_of(folder: Path) -> str:
    files = sorted(folder.glob("*.jsonl"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


# --- R02, R03, R04: files that change while the agent runs ----------------------------------------------------


def row_r02(seed: int, folder: Path) -> None:
    """A kill file that is a folder, a dead link, a loop of links or a pipe counts as there."""
    ways: tuple[Callable[[Path], None], ...] = (os.mkdir, link_to("nowhere"), link_to("KILL"), os.mkfifo, _unreadable)
    desk = desk_at(folder)
    desk.iterate()
    orders_before = desk.agent.order_log.sent_since(START - timedelta(days=1))
    assert orders_before > 0, "an agent that does not trade anyway shows nothing"
    ways[seed % len(ways)](desk.agent.config.risk.kill_file)
    desk.agent.clock.sleep(120.0)  # the coin has rested
    for _ in range(3):
        desk.iterate()
    assert desk.agent.order_log.sent_since(START - timedelta(days=1)) == orders_before
    assert desk.own_orders() == []
    (*_, last) = read_records(desk.agent.config.run.log_dir / "decisions-*.jsonl")
    assert last["agent_state"]["kill_switch_on"] is True


def _unreadable(path: Path) -> None:
    path.touch(mode=0o000)


def row_r03(seed: int, folder: Path) -> None:
    """.env edited while the agent runs: nothing is loaded again until the next start."""
    env_file = folder / ".env"
    size = f"0.{1 + seed % 5}"
    config = _config_from(env_file, folder, f"BTC_MAX_ORDER_SIZE={size}")
    desk = desk_at(folder, config=config)
    desk.iterate()
    _write_env(env_file, folder, ("BTC_MAX_ORDER_SIZE=0.9", "RISK_MAX_MARGIN_PCT=1", "nonsense")[seed % 3])
    desk.agent.clock.sleep(120.0)
    desk.iterate()
    first, second = read_records(config.run.log_dir / "decisions-*.jsonl")
    assert first["config_hash"] == second["config_hash"]
    assert f"{desk.agent.config.btc.max_order_size:g}" == size
    edited = desk_at(folder / "next", config=_config_from(env_file, folder, "BTC_MAX_ORDER_SIZE=0.9"))
    # a change that nobody could see would show nothing
    assert edited.agent.recorder.run.config_hash != first["config_hash"]


def _config_from(env_file: Path, folder: Path, line: str) -> AgentConfig:
    _write_env(env_file, folder, line)
    return settings.load_config(env_file, {})


def _write_env(env_file: Path, folder: Path, line: str) -> None:
    own = {"LOG_DIR": folder / "logs", "DATA_DIR": folder / "data", "POLICY": POLICY}
    lines = [f"AGENT_{name}={value}" for name, value in own.items()]
    lines += [f"DERIBIT_CLIENT_ID={KEY[0]}", f"DERIBIT_CLIENT_SECRET={KEY[1]}", f"RISK_KILL_FILE={folder / 'KILL'}"]
    env_file.write_text("\n".join([*lines, "BTC_ORDER_SIZE=0.1", line]) + "\n")
    env_file.chmod(0o600)


def row_r04(seed: int, folder: Path) -> None:
    """The policy's file replaced while the agent runs: the run goes on with the one it began with."""
    name = f"replaced_policy_{seed}_{os.getpid()}"
    path = folder / f"{name}.py"
    source = Path(policy_file.load_policy(QUIET)[0].__code__.co_filename).read_text()
    path.write_text(source.replace("a quiet iteration", "the first"))
    with patch.object(sys, "path", [str(folder), *sys.path]):
        try:
            desk = desk_at(folder, name)
            desk.iterate()
            path.write_text(("raise SystemExit", source.replace("a quiet iteration", "the second"), "(")[seed % 3])
            desk.iterate()
        finally:
            sys.modules.pop(name, None)
    first, second = read_records(desk.agent.config.run.log_dir / "decisions-*.jsonl")
    assert [line["proposed_action"]["reason"] for line in (first, second)] == ["the first", "the first"]
    assert first["policy_hash"] == second["policy_hash"]


# --- P11 ----------------------------------------------------------------------------------------------------


def row_p11(seed: int, folder: Path) -> None:
    """Restarted over and over by a supervisor while nothing works: bounded work, and the breaker is remembered."""
    clock = SimulatedClock(START)
    requests = 0

    def out_of_order(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        return httpx.Response(503, content=b"down")

    states: list[str] = []
    per_life = 1 + seed % 3
    for _ in range(12):
        agent = assembly.assemble_agent(
            config_in(folder), httpx.MockTransport(out_of_order), clock, mode="loopback", market="loopback"
        )
        if agent.trading.breaker.state == TradingState.HALTED:
            break
        agent.trading.resume_or_stay_halted(is_resumed=False)
        states += [_failed_iteration(agent) for _ in range(per_life)]
    assert states[:10] == ["ACTIVE"] * 4 + ["REDUCING"] * 5 + ["HALTED"], states
    assert len(states) <= 10 + per_life - 1
    assert requests <= 40 * len(states)
    _assert_a_real_start_stays_halted(folder)


def _failed_iteration(agent: Agent) -> str:
    """The trading state in the record it leaves."""
    record = agent_loop.run_iteration(agent)
    assert record.error is not None
    agent.clock.sleep(30.0)
    return record.trading_state


def _assert_a_real_start_stays_halted(folder: Path) -> None:
    """From the command line: code 6 before any request; with --resume it runs."""
    with exchange_for() as server:
        start = Start(folder, server.url, ("--once", "--policy", QUIET, *folder_arguments(folder)))
        code, out, err = run_to_the_end(start)
        assert (code, len(complaints(err)), "--resume" in err) == (HALT_EXIT_CODE, 1, True), (code, out, err)
        assert server.asked == []
        resumed = Start(folder, server.url, (*start.arguments, "--resume"), name="resumed")
        code, out, err = run_to_the_end(resumed)
        assert code == 0, (code, out, err)
        assert err == ""  # no order may still be on its way


RUN_SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    "C04": row_c04,
    "R02": row_r02,
    "R03": row_r03,
    "R04": row_r04,
    "P11": row_p11,
}
