"""The write-ahead log of orders: what was sent, what became of it, which coins must wait until that is certain.

In: events (intent, edit, outcome, closed), each one line of `orders-YYYY-MM-DD.jsonl`, forced to disk (intent and edit
always, the others where the account outlasts the run). Out: orders whose fate is open, coins at rest, orders of a day;
all of it is read back after a restart. An intent that cannot be written is no order; an event that has happened is kept
in memory until the disk takes it. Talks to the disk.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.log_lines.old_lines import SCHEMA_VERSION, is_of_newer_version, json_objects
from core.log_lines.order_events import OrderOutcome
from deribit.symbols import SymbolParts, parse_symbol
from models import UNDERLYINGS, Clock, LogWriteError, SendOutcome, Underlying
from orders.jsonl_file import JsonlLog, files_of_last_days
from orders.last_order import Mark, MarkedOrder, read_mark, write_mark

TAIL_BYTES = 5_000_000  # how much of a file is read at the start
RESOLVE_AFTER_SECONDS = 5.0  # after valid_until, before an order of unknown fate is looked up
ABSENT_AFTER_SECONDS = 45.0  # after valid_until: look-ups, orders and positions may all lag by half a minute
LAPSE_SECONDS = 60.0  # after it left or ended, no order can execute, and what it traded stands in the positions
REST_SECONDS = 60.0  # positions may lag behind fills by half a minute
MAX_KEPT_LINES = 1000
FINAL_OUTCOMES = frozenset({"not_sent", "rejected", "accepted", "resolved_absent", "resolved_present"})
LIVED = ("accepted", "resolved_present")
STANDS_ALONE = (*LIVED, "unknown")  # outcomes that matter without their intent
MAX_LABEL_LETTERS = 64
LAST_MS = 10**15  # far beyond any date
FAR_AHEAD = datetime(2200, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class LoggedOrder:
    """One order as the log knows it, with the time of its intent as `sent_at`.

    `is_certain`: whether the exchange has it is known. `is_closed`: it cannot trade any more. `may_have_traded`: a
    fill may be too fresh for the positions to show it.
    """

    intent: Mapping[str, Any]
    last_event_at: datetime
    sent_at: datetime
    is_certain: bool = False
    is_closed: bool = False
    may_have_traded: bool = True
    was_unknown: bool = False
    empty_look_ups: int = 0
    was_refused: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it can no longer trade."""
        return self.is_certain and self.is_closed

    @property
    def ended_unfilled(self) -> bool:
        """Whether it is over, and nothing came of it but the request."""
        return self.is_over and not self.may_have_traded and not self.was_refused

    @property
    def label(self) -> str:
        return str(self.intent["label"])

    @property
    def symbol(self) -> str:
        return str(self.intent["symbol"])

    @property
    def parts(self) -> SymbolParts:
        return parse_symbol(self.symbol)


class OrderMemory:
    """What is known of the orders of one account, event by event; without a disk it is an order log by itself."""

    def __init__(self) -> None:
        self._orders: dict[str, LoggedOrder] = {}
        self.unreadable_lines = 0
        self.halted_at: datetime | None = None  # when the last halt was, or its cause: two orders under one label
        self.halted_why = ""
        self.duplicates_noted = 0  # how often two orders were found under one label

    def write(self, record: Mapping[str, Any]) -> None:
        """An event that must be known before the next step; raises LogWriteError where that cannot be."""
        self._remember(record)

    def note(self, record: Mapping[str, Any]) -> str | None:
        """An event that has happened; why it could not be written, None where it could."""
        self._remember(record)
        return None

    def knows(self, label: str) -> bool:
        """Whether an order of ours with this label is remembered."""
        return label in self._orders

    def write_kept(self) -> None:
        """Write what is waiting; raises LogWriteError. Nothing ever waits here."""

    def unresolved(self) -> tuple[LoggedOrder, ...]:
        """Orders of which it is not certain whether the exchange has them, oldest first."""
        return tuple(order for order in self._orders.values() if not order.is_certain)

    def unclosed(self) -> tuple[LoggedOrder, ...]:
        """Orders the exchange has had and that may still trade, as far as the log knows."""
        return tuple(order for order in self._orders.values() if order.is_certain and not order.is_closed)

    def busy_symbols(self, now: datetime) -> tuple[str, ...]:
        """Symbols whose coin must wait: an order's fate is open, or it ended too recently for positions to show it."""
        return tuple(order.symbol for order in self._orders.values() if _is_busy(order, now))

    def waiting_underlyings(self) -> tuple[Underlying, ...]:
        """Coins that wait whatever is known of their orders."""
        return ()

    def oldest_at(self) -> datetime | None:
        """When the oldest order that is still remembered was about to leave; None where there is none."""
        times = (order.sent_at for order in self._orders.values())
        return min((moment for moment in times if moment != LONG_AGO), default=None)

    def newest_at(self) -> datetime:
        """When the last event was, of any order that is still remembered; long ago where there is none."""
        return max((order.last_event_at for order in self._orders.values()), default=LONG_AGO)

    def lapse_left_seconds(self) -> float:
        """How long an order of an earlier run may still be on its way, whatever this log says of it."""
        return 0.0

    def sent_since(self, moment: datetime) -> int:
        """How many orders were about to leave since a time."""
        return sum(order.sent_at >= moment for order in self._orders.values())

    def unfilled_since(self, moment: datetime) -> int:
        """How many of these are over without a fill and without a refusal."""
        return sum(order.ended_unfilled and order.sent_at >= moment for order in self._orders.values())

    def read_back(self, folder: Path, today: str, account: str) -> None:
        """What earlier runs of an account have logged, in the order of the exchange's time; nothing is written.

        Files are named by our own clock, which may have stepped back.
        """
        paths = files_of_last_days(folder, "orders", today)
        records = [record for path in paths for record in self._records_in(path)]
        for record in sorted(records, key=_time_of):
            if str(record.get("run_id")).startswith(f"{account}-"):
                self._remember(record)

    def _records_in(self, path: Path) -> list[dict[str, Any]]:
        content, is_cut = _tail(path)
        lines = content.splitlines()[1 if is_cut else 0 :]
        records = list(json_objects(b"\n".join(lines)))
        self.unreadable_lines += len(lines) - len(records)
        return records

    def _remember(self, record: Mapping[str, Any]) -> None:
        if is_of_newer_version(record):
            self.unreadable_lines += 1
            return
        label = str(record.get("label"))
        self.duplicates_noted += record.get("event") == "duplicated"
        if record.get("event") in ("duplicated", "halted"):
            self.halted_at, self.halted_why = _time_of(record), str(record.get("why", ""))
        if record.get("event") == "intent" and not _is_ours(record):
            self.unreadable_lines += 1
        elif record.get("event") == "intent":
            self._orders[label] = LoggedOrder(record, _time_of(record), _time_of(record))
        elif record.get("outcome") in STANDS_ALONE and label not in self._orders and _is_named(record):
            known = {name: record.get(name) for name in ("label", "symbol", "at")}  # its intent can no longer be read
            self._orders[label] = LoggedOrder(known, _time_of(record), _time_of(known))
        if label in self._orders:
            _update(self._orders[label], record)
        self._forget_old(_time_of(record))

    def _forget_old(self, now: datetime) -> None:
        old = [order for order in self._orders.values() if (now - order.last_event_at).days >= 1 and order.is_over]
        for order in old:
            del self._orders[order.label]


class OrderLogFile(OrderMemory):
    """The order log of one account, in one folder."""

    def __init__(
        self, folder: Path, clock: Clock, run_id: str, account: str | None = None, mark: Path | None = None
    ) -> None:
        """`account`: the mode whose earlier runs traded the same account; None for an account of this run alone.

        `mark`: the file that remembers the account's orders where this log is lost. Where lines cannot be read, both
        coins wait for a minute; reading goes on meanwhile.
        """
        super().__init__()
        self._log = JsonlLog(folder, "orders", clock, force_to_disk=True)
        self._clock, self._run_id, self._mark_path = clock, run_id, mark
        self._ends_with_run = account is None  # then no later run asks what became of its orders
        self._marked: frozenset[str] = frozenset()  # labels that the mark says may be open
        self._kept: deque[str] = deque(maxlen=MAX_KEPT_LINES)
        if account is not None:
            self.read_back(folder, f"{clock.now():%Y-%m-%d}", account)
        self._unread_until_seconds = clock.monotonic() + (REST_SECONDS if self.unreadable_lines else 0.0)
        self._lapses_at_seconds = clock.monotonic()

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one event and force it to disk; raises LogWriteError."""
        self.write_kept()
        if record.get("event") == "intent":
            self._write_mark(record, leaving=record)
        line = self._line(record)
        self._log.write_line(line)
        self._remember(json.loads(line))

    def note(self, record: Mapping[str, Any]) -> str | None:
        """An event that has happened: kept and tried again where the disk does not take it; then why it did not."""
        line = self._line(record)
        self._remember(json.loads(line))
        if not self._marked <= {order.label for order in self._open()}:
            with suppress(LogWriteError):  # a mark that names too many only makes the next start ask for them
                self._write_mark(record)
        self._kept.append(line)
        try:
            self.write_kept()
        except LogWriteError as error:
            return str(error)
        return None

    def write_kept(self) -> None:
        """Write the events that are waiting for the disk, oldest first; raises LogWriteError."""
        while self._kept:
            self._log.write_line(self._kept[0], may_be_lost=self._ends_with_run)
            self._kept.popleft()

    def waiting_underlyings(self) -> tuple[Underlying, ...]:
        """Both coins at the start of a run, where an earlier one may have sent what this log does not say."""
        is_over = self._clock.monotonic() >= max(self._unread_until_seconds, self._lapses_at_seconds)
        return () if is_over else UNDERLYINGS

    def rest_after_last_order(self) -> None:
        """Let both coins wait until no order of an earlier run can execute, or trade unseen; nothing where it is over.

        What the mark alone knows of may still rest, however old it is: it is taken over into this log, whose order of
        unknown fate it is from now on. A time that is still to come says only that a clock has stepped back: then the
        whole wait.
        """
        now = self._clock.now()
        mark = None if self._mark_path is None else read_mark(self._mark_path, now)
        self._take_over(() if mark is None else mark.may_be_open)
        times = [LONG_AGO if mark is None else mark.at, *(order.sent_at for order in self._orders.values())]
        seconds = LAPSE_SECONDS - max(0.0, (now - max(times)).total_seconds())
        self._lapses_at_seconds = self._clock.monotonic() + seconds

    def lapse_left_seconds(self) -> float:
        return max(0.0, self._lapses_at_seconds - self._clock.monotonic())

    def _take_over(self, marked: tuple[MarkedOrder, ...]) -> None:
        for order in marked:
            if not self.knows(order.label):
                why = "its intent is lost, the mark of the account alone knows of it"
                self.note(OrderOutcome(**dict(order), outcome=SendOutcome.UNKNOWN, error=why).as_line())
        self._marked = frozenset(order.label for order in marked)

    def _write_mark(self, record: Mapping[str, Any], leaving: Mapping[str, Any] | None = None) -> None:
        """Say outside all logs which orders may be open; raises LogWriteError."""
        if self._mark_path is None:
            return
        intents = [order.intent for order in self._open()] + ([] if leaving is None else [leaving])
        orders = tuple(MarkedOrder(label=i["label"], symbol=i["symbol"], at=_time_of(i)) for i in intents)
        # The later of both clocks: the next start knows only its own, and one that is ahead must shorten nothing.
        write_mark(self._mark_path, Mark(at=max(_time_of(record), self._clock.now()), may_be_open=orders))
        self._marked = frozenset(order.label for order in orders)

    def _open(self) -> list[LoggedOrder]:
        return [order for order in self._orders.values() if not order.is_over]

    def _line(self, record: Mapping[str, Any]) -> str:
        versioned = {"schema_version": SCHEMA_VERSION, "run_id": self._run_id, **record}
        return json.dumps(versioned, allow_nan=False, default=str)


def _update(order: LoggedOrder, record: Mapping[str, Any]) -> None:
    order.last_event_at = max(order.last_event_at, _time_of(record))
    outcome = record.get("outcome")
    if isinstance(outcome, str) and outcome in FINAL_OUTCOMES:
        has_lived = outcome in LIVED
        order.is_certain, order.is_closed, order.may_have_traded = True, not has_lived, has_lived
        order.was_unknown = outcome.startswith("resolved")
        order.was_refused = outcome == "rejected"
    if record.get("event") == "edit":
        order.is_certain = True  # only an order that is there is moved, should the line that said so be unreadable
    if record.get("event") == "closed":
        order.is_certain, order.is_closed = True, True
        order.may_have_traded = record.get("filled_amount_coin") != 0.0


def _is_busy(order: LoggedOrder, now: datetime) -> bool:
    if not order.is_over:
        return True
    if order.was_unknown and seconds_since_deadline(order.intent, now) <= RESOLVE_AFTER_SECONDS:
        return True  # known to be over, but its request may still be on its way
    return order.may_have_traded and (now - order.last_event_at).total_seconds() < REST_SECONDS


def _is_ours(intent: Mapping[str, Any]) -> bool:
    """Whether an intent can be looked up; a line edited by hand may be anything."""
    deadline_ms = intent.get("valid_until")
    is_dated = type(deadline_ms) is int and 0 <= deadline_ms <= LAST_MS and LONG_AGO < _time_of(intent) < FAR_AHEAD
    return is_dated and _is_named(intent)


def _is_named(record: Mapping[str, Any]) -> bool:
    """Whether a line says which order it is about."""
    label, symbol = record.get("label"), record.get("symbol")
    if not (isinstance(label, str) and isinstance(symbol, str)):
        return False
    return parse_symbol(symbol).underlying in UNDERLYINGS and 0 < len(label) <= MAX_LABEL_LETTERS and label.isascii()


def _time_of(record: Mapping[str, Any]) -> datetime:
    """When an event was, by the exchange's clock; long ago where the line does not say."""
    try:
        moment = datetime.fromisoformat(str(record.get("at") or record.get("sent_at")))
    except ValueError:
        return LONG_AGO
    return moment if moment.tzinfo is not None else LONG_AGO


def seconds_since_deadline(intent: Mapping[str, Any], now: datetime) -> float:
    """Seconds since an order can no longer execute (valid_until, by the exchange's clock); negative before."""
    # A line edited by hand may say anything, one without its intent nothing: no order of ours lives longer than this.
    latest_seconds = _time_of(intent).timestamp() + REST_SECONDS
    deadline_seconds = int(intent["valid_until"]) / 1000.0 if "valid_until" in intent else latest_seconds
    return now.timestamp() - min(deadline_seconds, latest_seconds)


def _tail(path: Path) -> tuple[bytes, bool]:
    """The last TAIL_BYTES of a file, and whether something before them was left out."""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - TAIL_BYTES)
        file.seek(start)
        return file.read(), start > 0
