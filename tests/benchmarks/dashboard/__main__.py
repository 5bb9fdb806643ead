"""python -m tests.benchmarks.dashboard [--lines 105000]: what a year's log costs the dashboard, and the agent.

In: nothing but this machine; --lines-of repeats the lines of a log that there is, --folder keeps the long log for
another time. Out: a line a figure, with its limit: cold index, warm start, first byte, whole page, memory, a new line,
CPU of the agent with eight viewers. Wall times hold on an idle machine alone; CPU stands beside them. Run by hand.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from config import PROJECT_FOLDER
from tests.benchmarks.dashboard.long_log import lines_of, next_line, simulated_lines, write_long_log
from tests.benchmarks.dashboard.served import Served, Viewer, served

VIEWERS = 8
ROUNDS = 5
AGENT_ITERATIONS = 300
ADDRESSES = ("/", "/ask", "/ask?name=earned", "/ask?name=why_nothing", "/lab", "/metrics")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dashboard", description=__doc__)
    parser.add_argument("--lines", type=int, default=105_000)
    parser.add_argument("--days", type=int, default=7, help="days that are simulated and repeated")
    parser.add_argument("--lines-of", type=Path, help="a log at five minutes, to repeat instead")
    parser.add_argument("--folder", type=Path, help="where the long log is kept; it is used again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        log = folder / f"long-{chosen.lines}"
        if not log.exists():
            short = lines_of(chosen.lines_of) if chosen.lines_of else simulated_lines(folder / "short", chosen.days)
            write_long_log(log, short, chosen.lines)
        _starts(log, Path(temporary) / "data", chosen.lines)
        _agent_with_viewers(Path(temporary))


def _starts(log: Path, data_dir: Path, lines: int) -> None:
    """A cold start, then a warm one, and everything that is asked of it."""
    size = sum(path.stat().st_size for path in log.glob("decisions-*.jsonl"))
    print(f"{lines} lines, {size / 1e9:.2f} GB")
    with served(log, data_dir) as server:
        began = time.monotonic()
        seen = server.wait_until_read()
        print(
            f"cold index: {time.monotonic() - began:.1f} s (at most 180), {server.cpu_seconds():.1f} s CPU, "
            f"{len(set(seen))} different counts seen on the way"
        )
        print(f"memory at its peak: {server.peak_megabytes():.0f} MB (at most 300)")
    with served(log, data_dir) as server:
        began = time.monotonic()
        server.wait_until_read()
        print(f"warm start: {time.monotonic() - began:.1f} s (at most 3), {server.cpu_seconds():.1f} s CPU")
        _pages(server)
        _new_line(server, log)
        print(f"memory at its peak: {server.peak_megabytes():.0f} MB (at most 300)")


def _pages(server: Served) -> None:
    for address in ADDRESSES:
        first, *again = [server.page(address) for _ in range(1 + ROUNDS)]
        fastest = min(again, key=lambda page: page.whole_seconds)
        print(
            f"{address}: first byte {1e3 * fastest.first_seconds:.0f} ms (at most 100), whole page "
            f"{1e3 * fastest.whole_seconds:.0f} ms (at most 1000), {1e3 * fastest.cpu_seconds:.0f} ms CPU; "
            f"the first time {1e3 * first.first_seconds:.0f} and {1e3 * first.whole_seconds:.0f} ms, "
            f"{1e3 * first.cpu_seconds:.0f} ms CPU"
        )


def _new_line(server: Served, log: Path) -> None:
    """From the line on disk to the event, and to the page that shows it."""
    viewer = Viewer(server)
    viewer.start()
    time.sleep(1.0)
    newest = max(log.glob("decisions-*.jsonl"))
    whole = newest.read_bytes()
    line = next_line(whole.splitlines()[-1])
    used, began = server.cpu_seconds(), time.monotonic()
    try:
        with newest.open("ab") as file:
            file.write(line)
        assert viewer.heard.wait(60.0), "nobody was told of the line"
        heard_seconds = time.monotonic() - began
        page = server.page()
        shown_seconds = time.monotonic() - began
        print(
            f"a new line: told after {heard_seconds:.2f} s, page with it after {shown_seconds:.2f} s (at most 2), "
            f"its first byte after {1e3 * page.first_seconds:.0f} ms; {server.cpu_seconds() - used:.2f} s CPU"
        )
    finally:
        viewer.stop()
        newest.write_bytes(whole)  # the long log stays as it was


def _agent_with_viewers(folder: Path) -> None:
    """CPU of the agent's own process, alone, and with a dashboard and viewers on its log."""
    alone = [_agent_cpu_seconds(folder / f"alone-{number}") for number in range(2)]
    watched, heard = [], 0
    for number in range(2):
        log = folder / f"watched-{number}"
        with served(log, folder / f"data-{number}") as server:
            server.wait_until_read()
            viewers = [Viewer(server) for _ in range(VIEWERS)]
            for viewer in viewers:
                viewer.start()
            watched.append(_agent_cpu_seconds(log))
            heard += sum(viewer.events for viewer in viewers)
            for viewer in viewers:
                viewer.stop()
    print(
        f"CPU of an agent's iteration: {1e3 * min(alone) / AGENT_ITERATIONS:.2f} ms alone, "
        f"{1e3 * min(watched) / AGENT_ITERATIONS:.2f} ms with {VIEWERS} viewers, who heard of {heard} lines"
    )


def _agent_cpu_seconds(log: Path) -> float:
    command = [sys.executable, "agent_loop.py", "--market", "simulated", "--iterations", str(AGENT_ITERATIONS)]
    command += ["--interval", "300", "--quiet", "--log-dir", str(log), "--data-dir", f"{log}-data"]
    process = subprocess.Popen(command, cwd=PROJECT_FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
