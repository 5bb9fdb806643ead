"""Follows a log and tells what is new in it: one look at a time.

In: a log index, settings, the time. Out: messages sent; the file `state.json`, which holds where it stands, what
waits, and how each channel does (the dashboard shows it). What stood in the log before the first start is not told. A
channel that is dead changes nothing for the others. Reads the log, writes its own folder, talks to the channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dashboard.ask.log_view import LogView, view_of
from dashboard.clock import Clock
from dashboard.log_index.index import LogIndex
from dashboard.log_index.line import Line
from dashboard.notify.channels import Channel
from dashboard.notify.messages import Message, messages_of
from dashboard.notify.outbox import Outbox
from dashboard.notify.repeats import Repeats
from dashboard.notify.settings import NotifySettings
from dashboard.notify.summary import daily_summary, summary_moment
from dashboard.settings import DEFAULT_INTERVAL_SECONDS
from models import TradingState

STATE_FILE = "state.json"
LINES_AT_ONCE = 200
REAL_TIME_MODES = ("testnet", "dry_run", "loopback")


@dataclass
class Follower:
    """`last_id`: the newest line that was told; None before the first look."""

    index: LogIndex
    settings: NotifySettings
    outbox: Outbox
    folder: Path
    now: Clock
    send: Callable[[Channel, Message], None]
    last_id: int | None = None
    summary_at: datetime | None = None
    trading_states: dict[str, str] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)
    silent_intervals: int = 0

    def look(self) -> list[str]:
        """Read what is new, send what is due; problems that are new, in words."""
        self.index.refresh()
        if self.last_id is None or self.last_id > self.index.last_id:  # the first look, or an index made anew
            self.last_id = self.index.last_id
        while lines := self.index.lines_after(self.last_id, LINES_AT_ONCE):
            for line in lines:
                for message in self._messages_of(line):
                    self._tell(message)
            self.last_id = lines[-1].id
        view = view_of(self.index)
        for message in () if view is None else (*self._summaries(view), *self._silences(view)):
            self._tell(message)
        problems = self.outbox.deliver(self.now(), self.send)
        return [*problems, *self._save()]

    def _messages_of(self, line: Line) -> Iterator[Message]:
        record = self.index.iteration_record(line)
        if record is None:
            return
        yield from messages_of(record, self.trading_states.get(line.account, TradingState.ACTIVE))
        self.trading_states[line.account] = str(line.trading_state)
        if line.trading_state == TradingState.ACTIVE:
            self.repeats.forget("trading state still")

    def _tell(self, message: Message) -> None:
        due = self.repeats.told(message)
        if due is not None:
            self.outbox.add(due)

    def _summaries(self, view: LogView) -> Iterator[Message]:
        """The newest one that is due; those of days before the first start are not told."""
        newest = view.newest()
        if newest is None or not self.settings.summary:
            return
        moment = summary_moment(newest.at)
        if self.summary_at is not None and moment > self.summary_at:
            message = daily_summary(view, moment)
            if message is not None:
                yield message
        self.summary_at = moment

    def _silences(self, view: LogView) -> Iterator[Message]:
        """No line for two intervals, of an agent that should be running; again after twice as many each time."""
        line = self.index.newest(view.account)
        if line is None or line.mode not in REAL_TIME_MODES:
            return
        shown_seconds = self.index.interval_seconds(view.account) or DEFAULT_INTERVAL_SECONDS
        interval = timedelta(seconds=self.settings.interval_seconds or shown_seconds)
        intervals = int((self.now() - line.at) / interval)
        if intervals < 2 and self.silent_intervals:
            text = f"a line of {line.at:%H:%M} UTC"
            yield Message("silence", f"lines again {line.id}", f"{line.mode}: lines again", text, line.at, line.account)
        is_due = intervals >= 2 and intervals >= 2 * self.silent_intervals
        if is_due:
            text = (
                f"no line for {(self.now() - line.at) / timedelta(minutes=1):.0f} minutes, the last one {line.at:%H:%M}"
            )
            key = f"silence {line.id} {intervals}"
            yield Message("silence", key, f"{line.mode}: no line", f"{text} UTC", self.now(), line.account)
        self.silent_intervals = intervals if is_due else 0 if intervals < 2 else self.silent_intervals

    # --- what outlives the process ------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on where the last process stopped; a file that cannot be read is begun anew."""
        try:
            found = json.loads((self.folder / STATE_FILE).read_bytes())
            self.repeats = Repeats.from_json(found["repeats"])
            self.outbox.restore(found["waiting"])
            self.last_id, self.silent_intervals = int(found["last_id"]), int(found["silent_intervals"])
            self.trading_states = {str(name): str(state) for name, state in found["trading_states"].items()}
            at = found["summary_at"]
            self.summary_at = None if at is None else datetime.fromisoformat(at)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return

    def _save(self) -> list[str]:
        state: dict[str, Any] = {
            "at": self.now().isoformat(),
            "channels": self.outbox.status(),
            "last_id": self.last_id,
            "summary_at": None if self.summary_at is None else self.summary_at.isoformat(),
            "silent_intervals": self.silent_intervals,
            "trading_states": self.trading_states,
            "repeats": self.repeats.as_json(),
            "waiting": self.outbox.as_json(),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = self.folder / f"{STATE_FILE}.new"
            new.touch(mode=0o600)
            new.write_text(json.dumps(state), encoding="utf-8")
            new.replace(self.folder / STATE_FILE)
        except OSError as error:
            return [f"{self.folder / STATE_FILE} cannot be written: {error.strerror}"]
        return []
