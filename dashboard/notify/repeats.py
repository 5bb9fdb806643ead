"""Equal messages are told less and less often: the 1st, 2nd, 4th, 8th, 16th time. Pure.

In: messages, one after the other. Out: those to be told, with how often they have been so far. A message that has not
come for a day begins anew. What is remembered can be written down and read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dashboard.notify.messages import Message

FORGOTTEN_AFTER = timedelta(days=1)
MOST_KEYS = 1_000


@dataclass
class Repeats:
    """How often each message has been, and when it was last."""

    seen: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def told(self, message: Message) -> Message | None:
        """The message with its count where it is due, None where it is one of too many."""
        count, last_at = self.seen.pop(message.key, (0, message.at))
        count = 1 if message.at - last_at > FORGOTTEN_AFTER else count + 1
        self.seen[message.key] = (count, message.at)
        while len(self.seen) > MOST_KEYS:
            del self.seen[next(iter(self.seen))]
        is_due = count & (count - 1) == 0  # a power of two
        return replace(message, count=count) if is_due else None

    def forget(self, beginning: str) -> None:
        """What has ended: the next of its kind is told at once."""
        self.seen = {key: value for key, value in self.seen.items() if not key.startswith(beginning)}

    def as_json(self) -> dict[str, Any]:
        return {key: [count, at.isoformat()] for key, (count, at) in self.seen.items()}

    @classmethod
    def from_json(cls, rows: Mapping[str, Any]) -> Repeats:
        """Raises ValueError or TypeError where they are none."""
        return cls({str(key): (int(count), datetime.fromisoformat(at)) for key, (count, at) in rows.items()})
