"""How far a run is, on one line that is written over: the market's date, the share done, the time left.

In: times of the market, the span of the run, a real clock. Out: text on a stream, at most once a second; nothing where
the stream is no terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from models import Clock

Span = tuple[datetime, datetime | None]


class ProgressLine:
    """One run's line."""

    def __init__(self, name: str, clock: Clock, stream: TextIO) -> None:
        self._name, self._clock, self._stream = name, clock, stream
        self._started_seconds = clock.monotonic()
        self._shown_seconds = self._started_seconds
        self._letters = 0

    def show(self, at: datetime, span: Span) -> None:
        """Where the run is; `span` from its first decision to its end, None where that is not known."""
        self.tell(lambda taken_seconds: progress_text(self._name, at, span, taken_seconds))

    def tell(self, text: Callable[[float], str]) -> None:
        """Any text of the seconds that have gone by; it is asked for only where it is shown."""
        now_seconds = self._clock.monotonic()
        if not self._stream.isatty() or now_seconds - self._shown_seconds < 1.0:
            return
        self._shown_seconds = now_seconds
        self._write(text(now_seconds - self._started_seconds))

    def end(self) -> None:
        """Clear the line."""
        if self._letters:
            self._write("")
            self._stream.write("\r")

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._letters))
        self._stream.flush()
        self._letters = len(text)


def progress_text(name: str, at: datetime, span: Span, taken_seconds: float) -> str:
    """As much as is known, in less than 80 columns."""
    start, end = span
    text = f"{name[:30]}: {at:%Y-%m-%d}"
    if end is None or not start < at:
        return text
    share = min(1.0, (at - start) / (end - start))
    return f"{text}, {100.0 * share:.0f} %, {taken_seconds * (1.0 / share - 1.0):.0f} s left"
