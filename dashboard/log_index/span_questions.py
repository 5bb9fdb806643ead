"""What is asked of an account's lines between two moments: ends, counts, changes, reasons, without reading them all.

In: a Store, an account's name, two moments (UTC; from the first up to, and without, the second). Out: Lines, counts,
groups of reasons. Everything about a year is computed in the index, so an answer takes milliseconds. Changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from dashboard.log_index.line import Line
from dashboard.log_index.store import TROUBLE, Store

IN_SPAN = "where account = ? and at_seconds >= ? and at_seconds < ?"
IS_IDLE = "action_type = 'DO_NOTHING'"
ANY_LINE = "true"
HAS_STATE = "has_state"
HAS_ERROR = "error is not null"
IS_BLOCKED = "blocked_by is not null"
IS_UNKNOWN = "executed_status = 'unknown'"
IS_TRADE = "executed_status in ('filled', 'partly_filled')"


class SpanCounts(NamedTuple):
    """How many lines there are, and of how many something is true."""

    lines: int
    idle: int
    idle_failed: int
    errors: int
    blocked: int
    unknown: int
    trades: int


class ReasonGroup(NamedTuple):
    """Idle lines whose reasons, or errors, differ in their figures alone: how many, and the newest of them."""

    shape: str
    is_error: bool
    lines: int
    newest_id: int
    newest_at_seconds: float


class SpanQuestions:
    """The questions about a span."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lines_between(self, account: str, start: datetime, end: datetime) -> list[Line]:
        """All lines, oldest first."""
        return self._store.lines(f"{IN_SPAN} order by at_seconds, id", _values(account, start, end))

    def troubled_lines(self, account: str, start: datetime, end: datetime) -> list[Line]:
        """Those with an error, a blocked action or an unknown outcome, oldest first."""
        return self._store.lines(f"{IN_SPAN} and {TROUBLE} order by at_seconds, id", _values(account, start, end))

    def end_line(
        self, account: str, start: datetime, end: datetime, *, is_last: bool, condition: str = HAS_STATE
    ) -> Line | None:
        """The first or the last line in such a span that meets a condition of ours."""
        return self._end_line(f"{IN_SPAN} and {condition}", _values(account, start, end), is_last)

    def end_line_of_run(self, run_id: str, *, is_last: bool, condition: str = ANY_LINE) -> Line | None:
        """The first or the last line of a run that meets a condition of ours."""
        return self._end_line(f"where run_id = ? and {condition}", (run_id,), is_last)

    def _end_line(self, where: str, values: tuple[Any, ...], is_last: bool) -> Line | None:
        way = "desc" if is_last else "asc"
        found = self._store.lines(f"{where} order by at_seconds {way}, id {way} limit 1", values)
        return next(iter(found), None)

    def last_action(
        self, account: str, start: datetime, end: datetime, symbol: str | None, coin: str | None
    ) -> Line | None:
        """The last line, where asked about a call the last that did something with it; or about a coin."""
        names_it = "instr(coalesce(symbol, '') || ' ' || reason, :symbol) > 0"
        about = f"(:symbol is null or (not {IS_IDLE} and {names_it})) and (:coin is null or underlying = :coin)"
        where = "where account = :account and at_seconds >= :start and at_seconds < :end"
        values = {"account": account, "start": start.timestamp(), "end": end.timestamp()}
        found = self._store.lines(
            f"{where} and {about} order by at_seconds desc, id desc limit 1", values | {"symbol": symbol, "coin": coin}
        )
        return next(iter(found), None)

    def counts_between(self, account: str, start: datetime, end: datetime) -> SpanCounts:
        return self._counts(IN_SPAN, _values(account, start, end))

    def counts_of_run(self, run_id: str) -> SpanCounts:
        return self._counts("where run_id = ?", (run_id,))

    def _counts(self, where: str, values: tuple[Any, ...]) -> SpanCounts:
        asked = (IS_IDLE, f"{IS_IDLE} and {HAS_ERROR}", HAS_ERROR, IS_BLOCKED, IS_UNKNOWN, IS_TRADE)
        sums = ", ".join(f"coalesce(sum({condition}), 0)" for condition in asked)
        (row,) = self._store.rows(f"select count(*), {sums} from lines {where}", values)
        return SpanCounts(*map(int, row))

    def changes_between(self, account: str, start: datetime, end: datetime) -> tuple[int, int]:
        """How often the settings, and how often the policy, were others than in the line before."""
        question = f"select config_hash, policy_hash from lines {IN_SPAN} order by at_seconds, id"
        rows = self._store.rows(question, _values(account, start, end))
        changed = [pair for pair in pairwise(rows) if pair[0] != pair[1]]
        settings, policies = ([1 for before, after in changed if before[n] != after[n]] for n in (0, 1))
        return len(settings), len(policies)

    def idle_reasons(self, account: str, start: datetime, end: datetime) -> list[ReasonGroup]:
        """The reasons, or the errors, of lines that did nothing, those of one shape together.

        Beside a max() SQLite gives the other columns of the row that has it: `id` is that of the newest line.
        """
        question = (
            f"select shape, {HAS_ERROR}, count(*), id, max(at_seconds) from lines {IN_SPAN} and {IS_IDLE} group by 1, 2"
        )
        rows = self._store.rows(question, _values(account, start, end))
        return [ReasonGroup(shape, bool(is_error), count, newest, at) for shape, is_error, count, newest, at in rows]

    def lines_by_id(self, ids: list[int]) -> dict[int, Line]:
        found = self._store.lines(f"where id in ({', '.join('?' * len(ids))})", ids)
        return {line.id: line for line in found}


def _values(account: str, start: datetime, end: datetime) -> tuple[Any, ...]:
    return account, start.timestamp(), end.timestamp()
