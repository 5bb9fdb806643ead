"""Messages that wait, channel by channel: a dead one holds nobody up and loses little.

In: messages, the time, a way to send. Out: what was delivered; for each channel how it does. After a failure a channel
is left alone for 30 s, then twice as long each time, an hour at most; it keeps its newest 200 messages. Can be
written down and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dashboard.notify.channels import Channel, DeliveryError
from dashboard.notify.messages import Message

MOST_WAITING = 200
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass
class Waiting:
    """One channel's messages, oldest first, and how it does."""

    messages: list[Message] = field(default_factory=list)
    failures: int = 0
    next_try_at: datetime | None = None
    delivered_at: datetime | None = None
    problem: str | None = None
    dropped: int = 0

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self.dropped += max(0, len(self.messages) - MOST_WAITING)
        del self.messages[:-MOST_WAITING]


@dataclass
class Outbox:
    """The channels by their name."""

    channels: Sequence[Channel]
    waiting: dict[str, Waiting] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        for channel in self.channels:
            self.waiting.setdefault(channel.name, Waiting()).add(message)

    def deliver(self, now: datetime, send: Callable[[Channel, Message], None]) -> list[str]:
        """Send what waits; the problems that are new, in words."""
        said = (self._deliver_to(channel, now, send) for channel in self.channels)
        return [problem for problem in said if problem is not None]

    def _deliver_to(self, channel: Channel, now: datetime, send: Callable[[Channel, Message], None]) -> str | None:
        queue = self.waiting.setdefault(channel.name, Waiting())
        if queue.next_try_at is not None and now < queue.next_try_at:
            return None
        while queue.messages:
            try:
                send(channel, queue.messages[0])
            except DeliveryError as error:
                return _failed(queue, str(error), now)
            del queue.messages[0]
            queue.failures, queue.next_try_at, queue.problem, queue.delivered_at = 0, None, None, now
        return None

    def status(self) -> list[dict[str, Any]]:
        """How each channel does, for the dashboard: no address, no token, no text."""
        return [
            {
                "channel": channel.name,
                "problem": queue.problem,
                "failures": queue.failures,
                "waiting": len(queue.messages),
                "dropped": queue.dropped,
                "delivered_at": None if queue.delivered_at is None else queue.delivered_at.isoformat(),
            }
            for channel in self.channels
            for queue in [self.waiting.get(channel.name, Waiting())]
        ]

    def as_json(self) -> dict[str, Any]:
        return {name: [message.as_json() for message in queue.messages] for name, queue in self.waiting.items()}

    def restore(self, rows: Mapping[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError where they are none."""
        self.waiting = {str(name): Waiting(list(map(Message.from_json, found))) for name, found in rows.items()}


def _failed(queue: Waiting, problem: str, now: datetime) -> str | None:
    """Wait longer; the problem where it is another one than before."""
    is_new = queue.problem != problem
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(queue.failures, 10))
    queue.failures, queue.problem, queue.next_try_at = queue.failures + 1, problem, now + pause
    return problem if is_new else None
