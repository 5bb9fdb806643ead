"""A log as long as a year's, made of the real lines of a short run that are repeated, a period later each time.

In: a folder, a number of lines, lines to repeat. Out: decision files of one run, a day each, as the agent would have
named them: dates, expiries in symbols and the numbers of iterations go on, everything else stays. Writes gigabytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from tests.builders.agent import run_main

INTERVAL_SECONDS = 300
LINES_A_DAY = 86_400 // INTERVAL_SECONDS
MONTHS = b"JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
DAYS = re.compile(rb"(?<=\")20\d\d-\d\d-\d\d(?=T)")
EXPIRIES = re.compile(rb"(?<=-)\d{1,2}(?:" + MONTHS + rb")\d\d(?=-)")
NUMBERS = re.compile(rb"\"(iteration|sequence)\":(\d+)")


def simulated_lines(folder: Path, days: int) -> list[bytes]:
    """Lines of an agent on the simulated market, a decision every five minutes."""
    count = str(days * LINES_A_DAY)
    ended = run_main(
        *("--market", "simulated", "--iterations", count, "--interval", str(INTERVAL_SECONDS), "--quiet"),
        *("--log-dir", folder / "logs", "--data-dir", folder / "data"),
    )
    assert ended.code == 0
    return lines_of(folder / "logs")


def lines_of(log: Path) -> list[bytes]:
    """All lines of a log, oldest first."""
    return [line for path in sorted(log.glob("decisions-*.jsonl")) for line in path.read_bytes().splitlines(True)]


def write_long_log(folder: Path, lines: Sequence[bytes], count: int) -> int:
    """Its size in bytes; `lines` are cut to whole days."""
    folder.mkdir(parents=True)
    whole_days = len(lines) // LINES_A_DAY
    size = 0
    for name, found in _by_day(_repeated(lines[: whole_days * LINES_A_DAY], count, whole_days)):
        with (folder / name).open("ab") as file:
            size += file.write(b"".join(found))
    return size


def next_line(line: bytes) -> bytes:
    """The line that would come after one: the same, an interval later."""
    record = json.loads(line)
    at = datetime.fromisoformat(record["timestamp"]) + timedelta(seconds=INTERVAL_SECONDS)
    number = record["iteration"] + 1
    later = record | {"iteration": number, "sequence": number, "timestamp": at.isoformat().replace("+00:00", "Z")}
    return json.dumps(later, separators=(",", ":")).encode() + b"\n"


def _repeated(lines: Sequence[bytes], count: int, whole_days: int) -> Iterator[bytes]:
    for number in range(count):
        rounds, place = divmod(number, len(lines))
        yield _later(lines[place], rounds * whole_days, number + 1)


def _later(line: bytes, days: int, number: int) -> bytes:
    line = NUMBERS.sub(lambda found: b'"%s":%d' % (found[1], number), line, count=2)
    line = DAYS.sub(lambda found: _day(found[0], days), line)
    return EXPIRIES.sub(lambda found: _expiry(found[0], days), line)


@lru_cache(maxsize=10_000)
def _day(text: bytes, days: int) -> bytes:
    return (date.fromisoformat(text.decode()) + timedelta(days=days)).isoformat().encode()


@lru_cache(maxsize=10_000)
def _expiry(text: bytes, days: int) -> bytes:
    at = datetime.strptime(text.decode().title(), "%d%b%y").date() + timedelta(days=days)  # noqa: DTZ007 - a day
    return f"{at:%-d%b%y}".upper().encode()


def _by_day(lines: Iterator[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Lines in runs of one day, each with the name of its file."""
    name, found = "", list[bytes]()
    for line in lines:
        at = DAYS.search(line)
        own = "" if at is None else f"decisions-{at[0].decode()}.jsonl"
        if own != name and found:
            yield name, found
            found = []
        name = own
        found.append(line)
    if found:
        yield name, found
