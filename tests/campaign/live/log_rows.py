"""Rows about the files at the start: torn and very large logs, wrong things at their paths, locks that are held.

In: a seed, an empty folder. Out: nothing, or an AssertionError. Real files; real processes where a start could hang.
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
import tracemalloc
from collections.abc import Callable
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli import locks
from logging_utils import last_record
from models import AlreadyRunningError
from orders.jsonl_file import JsonlLog
from orders.order_log import OrderLogFile
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.paper import START
from tests.campaign.live.agent_process import Start, complaints, folder_arguments, run_to_the_end
from tests.campaign.live.process_rows_live import exchange_for
from tests.campaign.live.row_desk import QUIET, desk_at, link_to

RUN_ID = "testnet-20260105T120000000"
MAX_START_BYTES = 40_000_000
START_SECONDS = 20.0  # a start that reads it all, or waits for a pipe, takes longer
LARGE_LOG_BYTES = 300_000_000
MEMORY_LIMIT_BYTES = 2_000_000_000  # of address space, so that a start that reads a device is stopped


def _intent(number: int = 1) -> dict[str, object]:
    """An intent line as the agent writes it."""
    return {
        "event": "intent",
        "label": f"cc-2601051200{number:02d}-abcdef-sell",
        "symbol": "BTC-16JAN26-100000-C",
        "direction": "sell",
        "amount_coin": 0.1,
        "price_coin": 0.0205,
        "reduce_only": False,
        "quoted_at": START.isoformat(),
        "valid_until": round((START + timedelta(seconds=10)).timestamp() * 1000),
        "at": START.isoformat(),
    }


# --- D06: a torn line ----------------------------------------------------------------------------------------


def row_d06(seed: int, folder: Path) -> None:
    """A last line torn at some byte: set aside whole, and the next line stands on its own."""
    lines = _real_lines(folder / "real")
    kind = ("orders", "decisions")[seed % 2]
    line = lines[kind]
    _torn_at(random.Random(seed).randrange(1, len(line)), kind, line, folder / "torn")


def every_torn_order_line(folder: Path) -> int:
    """D06 at each byte offset of a real order line; how many there were."""
    line = _real_lines(folder / "real")["orders"]
    for offset in range(1, len(line)):
        _torn_at(offset, "orders", line, folder / str(offset))
    return len(line) - 1


def _real_lines(folder: Path) -> dict[str, bytes]:
    """One line of each log, as an agent wrote it."""
    desk = desk_at(folder)
    desk.iterate()
    logs = desk.agent.config.run.log_dir
    return {kind: next(logs.glob(f"{kind}-*")).read_bytes().splitlines()[0] for kind in ("orders", "decisions")}


def _torn_at(offset: int, kind: str, line: bytes, folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / f"{kind}-2026-01-05.jsonl"
    path.write_bytes(line + b"\n" + line[:offset])
    if kind == "orders":
        order_log = OrderLogFile(folder, SimulatedClock(START), RUN_ID, "testnet")
        order_log.write(_intent(2))
    else:
        JsonlLog(folder, kind, SimulatedClock(START)).write_line('{"whole": true}')
    written = path.read_bytes()
    assert written.startswith(line + b"\n")
    assert written.endswith(b"\n")
    assert len([json.loads(found) for found in written.splitlines()]) == 2
    torn = b"".join(found.read_bytes() for found in folder.glob("*.torn"))
    assert torn == line[:offset] + b"\n", "the torn bytes are kept"


# --- D08: a log that has become large --------------------------------------------------------------------


def row_d08(seed: int, folder: Path) -> None:
    """A very large log (a hole in a file): the start reads the end of it only, and remembers what stands there."""
    logs = folder / "logs"
    logs.mkdir(parents=True)
    intent = json.dumps({"schema_version": 1, "run_id": RUN_ID} | _intent()).encode()
    last_lines = _real_lines(folder / "real") | {"orders": intent}
    for kind, line in last_lines.items():
        torn = b"" if seed % 2 else line[: len(line) // 2]
        with (logs / f"{kind}-2026-01-05.jsonl").open("wb") as file:
            file.truncate(LARGE_LOG_BYTES)
            file.seek(0, os.SEEK_END)
            file.write(b"\n" + line + b"\n" + torn)
    tracemalloc.start()
    started = time.perf_counter()
    try:
        agent = desk_at(folder, QUIET).agent
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MAX_START_BYTES, f"the start read {peak_bytes / 1e6:.0f} MB"
    assert time.perf_counter() - started < START_SECONDS
    assert [order.label for order in agent.order_log.unresolved()] == [_intent()["label"]]
    last = last_record(logs)
    assert last is not None
    assert (last.run_id, last.iteration) == (RUN_ID, 1)


# --- D10: something else at the path of a log ---------------------------------------------------------------


def row_d10(seed: int, folder: Path) -> None:
    """A pipe, a folder, a device, a link to a device: the start says which and ends, it does not wait or read on."""
    ways = (os.mkfifo, os.mkdir, link_to("/dev/full"), link_to("/dev/zero"), link_to("/dev/null"), _socket)
    kind, way = ("orders", "decisions")[seed % 2], ways[seed // 2 % len(ways)]
    path = folder / "logs" / f"{kind}-{datetime.now(UTC):%Y-%m-%d}.jsonl"
    path.parent.mkdir(parents=True)
    way(path)
    with exchange_for() as server:
        arguments = ("--once", "--policy", QUIET, *folder_arguments(folder))
        start = Start(folder, server.url, arguments, memory_limit_bytes=MEMORY_LIMIT_BYTES)
        code, _, err = run_to_the_end(start, START_SECONDS)
        assert (code, len(complaints(err)), path.name in err) == (2, 1, True), (path, code, err)
        assert server.asked == []


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, chdir(path.parent):  # a socket's whole path has to be short
        made.bind(path.name)


# --- B69 ----------------------------------------------------------------------------------------------------


def row_b69(seed: int, folder: Path) -> None:
    """A lock somebody holds: the error names its path, and the file is neither deleted nor written to."""
    (folder / "agent.lock").write_text(f"left by a container, process {seed}")
    held = locks.take_lock(folder)
    before = (folder / "agent.lock").stat()
    content = (folder / "agent.lock").read_bytes()
    with pytest.raises(AlreadyRunningError) as refused:
        locks.take_lock(folder)
    held.release()
    assert str(folder / "agent.lock") in str(refused.value)
    assert f"process {os.getpid()} on " in str(refused.value), "who holds it"
    assert refused.value.exit_code == 3
    assert (folder / "agent.lock").stat().st_ino == before.st_ino
    assert (folder / "agent.lock").read_bytes() == content
    locks.take_lock(folder).release()


LOG_SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    "D06": row_d06,
    "D08": row_d08,
    "D10": row_d10,
    "B69": row_b69,
}
