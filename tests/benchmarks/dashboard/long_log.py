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
    dates = [_dates_of(line) for line in lines]
    for number in range(count):
        rounds, place = divmod(number, len(lines))
        yield _later(lines[place], dates[place], rounds * whole_days, number + 1)


def _dates_of(line: bytes) -> list[tuple[date, bytes]]:
    """Each day and each expiry that a line names, as it writes them, the latest first."""
    days = {(date.fromisoformat(found.decode()), b'"' + found + b"T") for found in DAYS.findall(line)}
    expiries = {(_day_of(found), b"-" + found + b"-") for found in EXPIRIES.findall(line)}
    return sorted(days | expiries, reverse=True)


def _day_of(expiry: bytes) -> date:
    return datetime.strptime(expiry.decode().title(), "%d%b%y").date()  # noqa: DTZ007 - a day


def _later(line: bytes, dates: Sequence[tuple[date, bytes]], days: int, number: int) -> bytes:
    """The latest first: what a date becomes is never taken for another one that is still to be replaced."""
    line = NUMBERS.sub(lambda found: b'"%s":%d' % (found[1], number), line, count=2)
    for day, text in dates if days else ():
        line = line.replace(text, _written_as(text, day + timedelta(days=days)))
    return line


@lru_cache(maxsize=10_000)
def _written_as(text: bytes, day: date) -> bytes:
    """A day in the form of another text: of JSON, or of a symbol."""
    return f'"{day.isoformat()}T'.encode() if text.startswith(b'"') else f"-{day:%-d%b%y}-".upper().encode()


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
