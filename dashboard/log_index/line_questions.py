"""What is asked of the lines that were read: by account, time, number; whole records, steps, ledger entries.

In: a Store, and the log's files for whole records. Out: Lines, records, steps, entries, counts. Amounts in coin, prices
in USD, times UTC. Reads disk, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from core.log_lines.old_lines import json_object, migrated, read_tolerantly
from core.results.steps import Step
from dashboard.log_index import files
from dashboard.log_index.line import Line
from dashboard.log_index.span_questions import SpanQuestions
from dashboard.log_index.store import TROUBLE
from logging_utils import IterationRecord
from models import LedgerEntry

OF_ACCOUNT = "where account = ?"


class LineQuestions(SpanQuestions):
    """The questions; LogIndex adds the reading."""

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
        orders = f"select id from lines {OF_ACCOUNT} and about_orders = 1"
        return self._store.steps(f"where id in ({orders} union {' union '.join(ends)}) order by id", (account,) * 3)

    def steps_of(self, lines: Iterable[Line]) -> list[Step]:
        """The steps of these lines."""
        ids = [line.id for line in lines]
        return self._store.steps(f"where id in ({', '.join('?' * len(ids))}) order by at_seconds, id", ids)

    def counts(self, account: str) -> dict[str, int]:
        """Errors, blocked actions and lines of an account."""
        (row,) = self._store.rows(
            "select count(error), coalesce(sum(blocked_by is not null and error is null), 0), "
            f"coalesce(sum(executed_status = 'unknown'), 0) from lines {OF_ACCOUNT} and {TROUBLE}",
            (account,),
        )
        return {"lines": self.count(account), **dict(zip(("errors", "blocked", "unknown"), map(int, row), strict=True))}

    def interval_seconds(self, account: str) -> float | None:
        """The usual time between two of its newest lines; None where there are too few."""
        at = [line.at.timestamp() for line in self.lines(account, newest=20)]
        gaps = sorted(later - earlier for earlier, later in pairwise(at) if later > earlier)
        return gaps[len(gaps) // 2] if gaps else None
