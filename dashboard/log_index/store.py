"""The index on disk: a small SQLite file with a row a line, a row a ledger entry and a row a file of the log.

In: lines as line.py reads them, and where they stand. Out: Lines, Steps and entries again, in the order of the log.
It can be deleted at any time: it is made anew. Writes one file; where it cannot, it keeps everything in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from sys import intern
from threading import RLock
from typing import Any

from core.results.steps import Step, is_about_orders
from dashboard.log_index.line import STEPS, Line, ReadLine, shape_of
from logging_utils import SAME_ENTRY
from models import LedgerEntry

LAYOUT = 4  # of these tables: another one is made anew
COLUMNS = [field.name for field in fields(Line)]
REPEATED = ("run_id", "account", "mode", "market", "policy", "config_hash", "policy_hash", "action_type",
            "executed_status", "trading_state")  # fmt: skip
TROUBLE = "(error is not null or blocked_by is not null or executed_status = 'unknown')"  # as its index has it
FILE_COLUMNS = "id, name, path, head, bytes_read, stamp, lines, unreadable, newer"
TABLES = """
create table files (
    id integer primary key, name text unique, path text, head text,
    bytes_read integer, stamp text, lines integer default 0, unreadable integer default 0, newer integer default 0);
create table lines (
    id integer primary key autoincrement, file_id integer, position integer, length integer, at_seconds real,
    step text, about_orders integer, shape text, {columns});
create table entries (account text, same text, file_id integer, line_id integer, body text);
create index entries_by_account on entries (account);
create index lines_by_account on lines (account, id);
create index states_by_account on lines (account, at_seconds, id) where has_state;
create index lines_by_time on lines (account, at_seconds, id);
create index lines_by_run on lines (run_id, iteration);
create index lines_by_file on lines (file_id);
create index order_lines on lines (account, about_orders);
create index eventful_lines on lines (account, id) where action_type <> 'DO_NOTHING' or error is not null;
create index lines_in_trouble on lines (account) where {trouble};
"""


@dataclass(frozen=True)
class LogFile:
    """A file of the log as far as it was read. `head`: what its first line is, `stamp`: its size and time on disk."""

    id: int
    name: str
    path: str
    head: str
    bytes_read: int
    stamp: str
    lines: int
    unreadable: int
    newer: int


class Store:
    """The tables; safe to use from several threads."""

    def __init__(self, path: Path | None) -> None:
        self._lock = RLock()
        self._connection = _opened(path)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # --- writing ------------------------------------------------------------------------------------

    def add_file(self, name: str, path: Path, head: str) -> LogFile:
        with self._lock, self._connection as connection:
            connection.execute("delete from files where name = ?", (name,))
            row = (name, str(path), head, 0, "")
            found = connection.execute(
                "insert into files (name, path, head, bytes_read, stamp) values (?, ?, ?, ?, ?)", row
            )
            return LogFile(found.lastrowid or 0, *row, 0, 0, 0)

    def move_file(self, file: LogFile, name: str, path: Path) -> None:
        """The same lines under another name: it was packed or rotated."""
        with self._lock, self._connection as connection:
            connection.execute("update files set name = ?, path = ? where id = ?", (name, str(path), file.id))

    def forget_file(self, file: LogFile) -> None:
        with self._lock, self._connection as connection:
            for statement in ("files where id", "lines where file_id", "entries where file_id"):
                connection.execute(f"delete from {statement} = ?", (file.id,))

    def add_lines(self, file: LogFile, found: Sequence[tuple[int, int, ReadLine]], read: LogFile) -> None:
        """Lines with their place and length; `read` says how far the file was read with them. All or nothing."""
        with self._lock, self._connection as connection:
            for position, length, line in found:
                line_id = connection.execute(_INSERT_LINE, _row(file.id, position, length, line)).lastrowid
                connection.executemany(
                    "insert into entries values (?, ?, ?, ?, ?)",
                    [
                        (
                            *(line.line.account, entry.model_dump_json(include=SAME_ENTRY), file.id, line_id),
                            entry.model_dump_json(),
                        )
                        for entry in line.entries
                    ],
                )
            connection.execute(
                "update files set bytes_read = ?, stamp = ?, lines = ?, unreadable = ?, newer = ? where id = ?",
                (read.bytes_read, read.stamp, read.lines, read.unreadable, read.newer, file.id),
            )

    # --- reading ------------------------------------------------------------------------------------

    def files(self) -> list[LogFile]:
        return [LogFile(*row) for row in self._rows(f"select {FILE_COLUMNS} from files order by name")]

    def lines(self, where: str = "", values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Line]:
        """Lines that meet a condition of ours, which may end in an order and a limit."""
        question = f"select {', '.join(COLUMNS)} from lines {where}"
        with self._lock, closing(self._connection.execute(question, values)) as cursor:
            return [_line(row) for row in cursor]  # row by row: all rows of a year at once would fill the memory

    def steps(self, where: str, values: Iterable[Any]) -> list[Step]:
        rows = self._rows(f"select step from lines {where}", values)
        return [STEPS.validate_json(text) for (text,) in rows]

    def entries(self, account: str) -> list[LedgerEntry]:
        """Entries of an account, each once, in the order of the log's files and lines."""
        rows = self._rows(
            "select same, body from entries join files on files.id = entries.file_id "
            "where account = ? order by files.name, line_id, entries.rowid",
            (account,),
        )
        first: dict[str, str] = {}  # an entry that was read again after a restart counts once
        for same, body in rows:
            first.setdefault(same, body)
        return [LedgerEntry.model_validate_json(body) for body in first.values()]

    def place_of(self, line_id: int) -> tuple[str, int, int] | None:
        """The path, position and length of a line."""
        rows = self._rows(
            "select path, position, length from lines join files on files.id = file_id where lines.id = ?", (line_id,)
        )
        return next(((path, position, length) for path, position, length in rows), None)

    def rows(self, question: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Any other question about the tables."""
        return list(self._rows(question, values))

    def _rows(self, question: str, values: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self._lock, closing(self._connection.execute(question, tuple(values))) as cursor:
            return iter(cursor.fetchall())


_INSERT_LINE = (
    "insert into lines (file_id, position, length, at_seconds, step, about_orders, shape, "
    f"{', '.join(COLUMNS[1:])}) values ({', '.join('?' * (len(COLUMNS) + 6))})"
)


def _row(file_id: int, position: int, length: int, found: ReadLine) -> tuple[Any, ...]:
    line = found.line
    step = STEPS.dump_json(found.step, exclude_defaults=True).decode()
    values = [getattr(line, name) for name in COLUMNS[1:]]
    values[COLUMNS.index("at") - 1] = line.at.isoformat()
    place = (file_id, position, length, line.at.timestamp())
    shape = shape_of(line.reason if line.error is None else line.error)
    return (*place, step, is_about_orders(found.step), shape, *values)


def _line(row: tuple[Any, ...]) -> Line:
    values = dict(zip(COLUMNS, row, strict=True))
    values["at"] = datetime.fromisoformat(values["at"])
    values |= {name: intern(values[name]) for name in REPEATED}  # one text for all lines of a run
    return Line(**values | {name: bool(values[name]) for name in ("allowed", "has_state")})


def _opened(path: Path | None) -> sqlite3.Connection:
    """The file where it is whole and of today's layout, a new one else; memory where no file can be."""
    if path is not None:
        for is_new in (False, True):
            with suppress(OSError, sqlite3.Error):
                return _opened_file(path, is_new)
    return _prepared(sqlite3.connect(":memory:", check_same_thread=False))


def _opened_file(path: Path, is_new: bool) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_new:
        path.unlink(missing_ok=True)
    return _prepared(sqlite3.connect(path, check_same_thread=False))


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = off")  # it can be made anew
    version = connection.execute("pragma user_version").fetchone()[0]
    if version not in (0, LAYOUT):
        connection.close()
        raise sqlite3.DatabaseError("an index of another layout")
    if version == 0:
        columns = ", ".join(name for name in COLUMNS if name != "id")
        connection.executescript(TABLES.format(columns=columns, trouble=TROUBLE))
        connection.execute(f"pragma user_version = {LAYOUT}")
    connection.commit()
    return connection
