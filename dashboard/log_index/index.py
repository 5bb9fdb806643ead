"""LogIndex: a log folder that is read once, then followed, and asked questions.

In: a log folder, which another process may be writing, rotating, packing or emptying. Out: Lines, whole records, steps
and ledger entries; notices, in words, of whatever is odd. Never raises for what a file holds. Amounts in coin, prices
in USD, times UTC. Reads the log, writes its index into a folder of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from core.log_lines.old_lines import json_object, migrated, read_tolerantly
from core.results.steps import Step
from dashboard.log_index import files
from dashboard.log_index.line import Line, NewerVersionError, ReadLine, read_line
from dashboard.log_index.store import LogFile, Store
from logging_utils import IterationRecord
from models import LedgerEntry

LINES_AT_ONCE = 500
KEPT_NOTICES = 20
OF_ACCOUNT = "where account = ?"


@dataclass(frozen=True)
class Progress:
    """How much of the log has been read; `is_done` once everything was read a first time."""

    done_bytes: int = 0
    total_bytes: int = 0
    is_done: bool = False


class LogIndex:
    """The lines of one log folder. `refresh` looks for what is new; `follow` does so in a thread until `close`."""

    def __init__(self, log_dir: Path, work_dir: Path | None) -> None:
        self.log_dir = log_dir
        self.progress = Progress()
        self._store = Store(None if work_dir is None else work_dir / f"index-{_name_of(log_dir)}.sqlite")
        self._said: list[str] = []
        self._ends = Event()
        self._refreshing = Lock()
        self._thread: Thread | None = None

    # --- what is asked ------------------------------------------------------------------------------

    @property
    def last_id(self) -> int:
        """The id of the newest line seen; 0 where there is none."""
        return int(self._store.rows("select coalesce(max(id), 0) from lines")[0][0])

    def accounts(self) -> list[str]:
        """Those of the log, the one with the newest line first."""
        return [
            name for (name,) in self._store.rows("select account from lines group by account order by max(id) desc")
        ]

    def runs(self) -> list[tuple[str, str, int]]:
        """Run, its account, its number of lines; the newest first."""
        rows = self._store.rows("select run_id, account, count(*) from lines group by 1, 2 order by max(id) desc")
        return [(str(run_id), str(account), int(count)) for run_id, account, count in rows]

    def count(self, account: str | None = None) -> int:
        where, values = ("", ()) if account is None else (OF_ACCOUNT, (account,))
        return int(self._store.rows(f"select count(*) from lines {where}", values)[0][0])

    def lines(self, account: str | None = None, newest: int | None = None) -> list[Line]:
        """Lines of an account (else of all), oldest first; only so many of the newest where a number is given."""
        where, values = ("", ()) if account is None else (OF_ACCOUNT, (account,))
        limit = "" if newest is None else f"limit {int(newest)}"
        return self._store.lines(f"{where} order by id desc {limit}", values)[::-1]

    def sampled_lines(self, account: str, most: int) -> list[Line]:
        """Lines with a state, evenly over all, oldest first, the first and the newest always among them."""
        found = self._store.rows(f"select id from lines {OF_ACCOUNT} and has_state order by at_seconds, id", (account,))
        ids = [int(line_id) for (line_id,) in found]
        chosen = dict.fromkeys([*ids[:: max(1, -(-len(ids) // most))], *ids[-1:]])
        return self._store.lines(f"where id in ({', '.join(map(str, chosen))}) order by at_seconds, id")

    def count_between(self, account: str, after_id: int, before_id: int) -> int:
        """How many lines of an account lie between two."""
        question = f"select count(*) from lines {OF_ACCOUNT} and id > ? and id < ?"
        return int(self._store.rows(question, (account, after_id, before_id))[0][0])

    def lines_after(self, line_id: int, most: int = 200) -> list[Line]:
        """Lines that came after one, oldest first."""
        return self._store.lines("where id > ? order by id limit ?", (line_id, most))

    def eventful_lines(self, account: str, newest: int) -> list[Line]:
        """Lines in which something was done, wanted or wrong, oldest first."""
        where = f"{OF_ACCOUNT} and (action_type <> 'DO_NOTHING' or error is not null) order by id desc limit ?"
        return self._store.lines(where, (account, newest))[::-1]

    def decision_points(self, account: str) -> list[Line]:
        """Lines whose state left a choice: a call could be sold, or one was held. Oldest first."""
        return self._store.lines(f"{OF_ACCOUNT} and (candidates > 0 or held > 0) order by id", (account,))

    def lines_between(self, account: str, start: datetime, end: datetime) -> list[Line]:
        """Lines from a moment up to, and without, another, oldest first."""
        where = f"{OF_ACCOUNT} and at_seconds >= ? and at_seconds < ? order by at_seconds, id"
        return self._store.lines(where, (account, start.timestamp(), end.timestamp()))

    def end_line(self, account: str, start: datetime, end: datetime, *, is_last: bool) -> Line | None:
        """The first or the last line with a state in such a span."""
        way = "desc" if is_last else "asc"
        where = f"{OF_ACCOUNT} and has_state and at_seconds >= ? and at_seconds < ? order by at_seconds {way}, id {way}"
        found = self._store.lines(f"{where} limit 1", (account, start.timestamp(), end.timestamp()))
        return next(iter(found), None)

    def line(self, run_id: str, iteration: int) -> Line | None:
        """The newest line of that number, None where there is none."""
        where = "where run_id = ? and iteration = ? order by id desc limit 1"
        return next(iter(self._store.lines(where, (run_id, iteration))), None)

    def neighbours(self, line: Line) -> dict[str, Line | None]:
        """The lines before and after in its account, and the nearest decision points."""
        point = "and (candidates > 0 or held > 0) and (action_type <> 'DO_NOTHING' or error is not null)"
        before, after = "and id < ? {} order by id desc limit 1", "and id > ? {} order by id limit 1"
        asked = {
            "previous": before.format(""),
            "next": after.format(""),
            "previous_point": before.format(point),
            "next_point": after.format(point),
        }
        values = (line.account, line.id)
        return {
            name: next(iter(self._store.lines(f"{OF_ACCOUNT} {condition}", values)), None)
            for name, condition in asked.items()
        }

    def record(self, run_id: str, iteration: int) -> dict[str, Any] | None:
        """The whole JSON object of a line in today's layout; None where it is not in the log any more."""
        line = self.line(run_id, iteration)
        return None if line is None else self.record_of(line)

    def record_of(self, line: Line) -> dict[str, Any] | None:
        raw = self.raw(line)
        record = None if raw is None else json_object(raw)
        return None if record is None else migrated(record)

    def raw(self, line: Line) -> bytes | None:
        """The bytes of a line as they stand in the log."""
        place = self._store.place_of(line.id)
        return None if place is None else files.line_at(Path(place[0]), *place[1:])

    def iteration_record(self, line: Line) -> IterationRecord | None:
        """A line as a model, as far as it goes; None where it is gone."""
        record = self.record_of(line)
        return None if record is None else read_tolerantly(IterationRecord, record, [])

    def newest(self, account: str, with_state: bool = False) -> Line | None:
        condition = "and has_state" if with_state else ""
        return next(iter(self._store.lines(f"{OF_ACCOUNT} {condition} order by id desc limit 1", (account,))), None)

    def entries(self, account: str) -> list[LedgerEntry]:
        """The exchange's ledger of an account, each entry once."""
        return self._store.entries(account)

    def steps(self, account: str) -> list[Step]:
        """The steps that results hang on: those about orders, the first and the last with a state."""
        ends = [
            f"select * from (select id from lines {OF_ACCOUNT} and has_state "
            f"order by at_seconds {way}, id {way} limit 1)"
            for way in ("asc", "desc")
        ]
        where = f"{OF_ACCOUNT} and (about_orders or id in ({ends[0]}) or id in ({ends[1]})) order by id"
        return self._store.steps(where, (account,) * 3)

    def steps_of(self, lines: Iterable[Line]) -> list[Step]:
        """The steps of these lines."""
        ids = [line.id for line in lines]
        return self._store.steps(f"where id in ({', '.join('?' * len(ids))}) order by at_seconds, id", ids)

    def counts(self, account: str) -> dict[str, int]:
        """Errors, blocked actions and lines of an account."""
        (row,) = self._store.rows(
            "select count(*), count(error), coalesce(sum(blocked_by is not null and error is null), 0), "
            f"coalesce(sum(executed_status = 'unknown'), 0) from lines {OF_ACCOUNT}",
            (account,),
        )
        return dict(zip(("lines", "errors", "blocked", "unknown"), map(int, row), strict=True))

    def interval_seconds(self, account: str) -> float | None:
        """The usual time between two of its newest lines; None where there are too few."""
        at = [line.at.timestamp() for line in self.lines(account, newest=20)]
        gaps = sorted(later - earlier for earlier, later in pairwise(at) if later > earlier)
        return gaps[len(gaps) // 2] if gaps else None

    def notices(self) -> list[str]:
        """What is odd about the files, in words."""
        now = [_file_notice(file) for file in self._store.files()]
        return [*self._folder_notices(), *filter(None, now), *self._said]

    def _folder_notices(self) -> list[str]:
        if not self.log_dir.is_dir():
            return [f"there is no folder {self.log_dir}"]
        if files.decision_files(self.log_dir):
            return []
        rooms = [room.name for room in sorted(self.log_dir.iterdir()) if room.is_dir() and files.decision_files(room)]
        where = f"; there are some in {', '.join(rooms)}: start the dashboard on that folder" if rooms else ""
        return [f"no decision log in {self.log_dir} yet{where}"]

    # --- following ------------------------------------------------------------------------------------

    def follow(self, poll_seconds: float) -> None:
        """Look for new lines in a thread of its own, until close()."""

        def look() -> None:
            while not self._ends.is_set():
                self.refresh()
                self._ends.wait(poll_seconds)

        self._thread = Thread(target=look, name="log index", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        self._store.close()

    def refresh(self) -> None:
        """One look at the folder: what is new is read, what is gone is forgotten."""
        with self._refreshing:
            present = files.decision_files(self.log_dir)
            known = self._matched(present)
            self._count_bytes(present)
            for name, path in sorted(present.items()):
                if not self._ends.is_set():
                    self._read(name, path, known.get(name))
            self.progress = replace(self.progress, done_bytes=self.progress.total_bytes, is_done=True)

    def _matched(self, present: dict[str, Path]) -> dict[str, LogFile]:
        """The files that were read before, by today's names; those that are gone are forgotten."""
        known = {file.name: file for file in self._store.files()}
        gone = [file for name, file in known.items() if name not in present]
        strange = {files.head_of(path): name for name, path in present.items() if name not in known} if gone else {}
        for file in gone:
            name = strange.get(file.head) if file.head else None
            if name is None:
                self._store.forget_file(file)
                self._say(f"{file.name} is gone: its {file.lines} lines are not shown any more")
            else:
                self._store.move_file(file, name, present[name])
                known[name] = replace(file, name=name, path=str(present[name]))
        for name in known.keys() & present.keys():
            if known[name].path != str(present[name]):
                self._store.move_file(known[name], name, present[name])
        return known

    def _count_bytes(self, present: dict[str, Path]) -> None:
        sizes = (int(files.stamp_of(path).partition(":")[0] or 0) for path in present.values())
        self.progress = replace(self.progress, done_bytes=0, total_bytes=sum(sizes))

    def _read(self, name: str, path: Path, known: LogFile | None) -> None:
        stamp = files.stamp_of(path)
        if known is not None and known.stamp != stamp:
            known = self._unless_replaced(known, path, stamp)
        if known is None:
            known = self._store.add_file(name, path, files.head_of(path))
        if known.stamp != stamp:
            try:
                self._read_on(known, path, stamp)
            except OSError as error:
                self._say(f"{name} cannot be read: {error.strerror or error}")
        size = int(stamp.partition(":")[0] or 0)
        self.progress = replace(self.progress, done_bytes=self.progress.done_bytes + size)

    def _unless_replaced(self, known: LogFile, path: Path, stamp: str) -> LogFile | None:
        """None where the file does not go on from where it was: it was cut, or another one has its name."""
        is_shorter = path.suffix != ".gz" and int(stamp.partition(":")[0] or 0) < known.bytes_read
        if not is_shorter and known.head in ("", files.head_of(path)):
            return known
        self._store.forget_file(known)
        self._say(f"{known.name} was {'cut' if is_shorter else 'replaced'}: it was read anew")
        return None

    def _read_on(self, known: LogFile, path: Path, stamp: str) -> None:
        batch: list[tuple[int, int, ReadLine]] = []
        read = replace(known, head=known.head or files.head_of(path))
        for position, raw in files.lines_after(path, known.bytes_read):
            read = replace(read, bytes_read=position + len(raw), lines=read.lines + 1)
            try:
                found = read_line(raw)
            except NewerVersionError:
                found, read = None, replace(read, newer=read.newer + 1)
            else:
                read = replace(read, unreadable=read.unreadable + (found is None))
            if found is not None:
                batch.append((position, len(raw), found))
            if len(batch) >= LINES_AT_ONCE:
                self._store.add_lines(read, batch, read)
                batch = []
        self._store.add_lines(read, batch, replace(read, stamp=stamp))

    def _say(self, notice: str) -> None:
        others = [said for said in self._said if said != notice]
        self._said = [*others[-KEPT_NOTICES:], notice]


def _name_of(folder: Path) -> str:
    return sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def _file_notice(file: LogFile) -> str | None:
    """What of a file is not shown."""
    parts = []
    if file.newer:
        parts.append(f"{file.newer} lines were written by a newer version of the agent")
    if file.unreadable:
        parts.append(f"{file.unreadable} lines cannot be read")
    return f"{file.name}: {' and '.join(parts)}; they are left out" if parts else None
