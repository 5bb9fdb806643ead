"""Ways to break an invariant: what a test bends in a story in which nothing was wrong.

In: a Story. Out: the same story, bent in one place. `BREACHES` names the invariant that each breaks, `EXEMPT` are those
that break none, because what happened was not the agent's doing. They stand in `order_breaches.py`,
`log_breaches.py` and `decider_breaches.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.campaign.bends.example_trace import CALL, NEXT_CALL, Story, label_of
from tests.campaign.world.trace import LedgerPoint, WireCall

Bend = Callable[[Story], None]
BREACHES: list[tuple[str, Bend]] = []
EXEMPT: list[Bend] = []


def breaks(invariant: str) -> Callable[[Bend], Bend]:
    def remember(bend: Bend) -> Bend:
        BREACHES.append((invariant, bend))
        return bend

    return remember


def is_exempt(bend: Bend) -> Bend:
    EXEMPT.append(bend)
    return bend


def last_send(story: Story, direction: str = "sell") -> WireCall:
    return [call for call in story.trace.calls if call.method == f"private/{direction}"][-1]


def bend_point(story: Story, kind: str, **fields: Any) -> None:
    """Change the last event of a kind."""
    numbers = [number for number, point in enumerate(story.trace.points) if point.event.kind == kind]
    story.trace.points[numbers[-1]] = replace(story.trace.points[numbers[-1]], **fields)


def bend_points_since(story: Story, number: int, **fields: Any) -> None:
    points: list[LedgerPoint] = story.trace.points
    points[number:] = [replace(point, **fields) for point in points[number:]]


def bend_reply(call: WireCall, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the agent have been given another answer than the exchange's."""
    assert call.heard is not None
    reply = json.loads(call.heard)
    change(reply)
    call.heard = json.dumps(reply).encode()


def sale(story: Story, number: int, amount: float = 0.1, symbol: str = CALL) -> str:
    """One more iteration that sells."""
    label = label_of(number, "sell")
    story.look()
    story.trade("sell", symbol, amount, label)
    return label


def unanswered(story: Story, number: int, **bent: Any) -> WireCall:
    """An iteration whose order gets no answer, and never arrived; resolved in the next."""
    label = label_of(number, "sell")
    story.look()
    story.look_at(CALL)
    call = story.send("sell", CALL, 0.1, label)
    story.trace.points.pop()
    story.resting.pop(label)
    call.arrived_at, call.heard, call.raised, call.answered = [], None, "ReadTimeout", None
    story.leg(label, 0.0)
    story.log("outcome", label=label, outcome="unknown")
    return call


def foreign_sale(story: Story, amount: float, label: str = "by hand") -> None:
    """A person sells on the same account."""
    story.resting[label] = (NEXT_CALL, "sell", amount)
    story.point("accepted", NEXT_CALL, "sell", amount, label, story.trace.calls[-1])


def resting_order(story: Story) -> str:
    label = label_of(20, "sell")
    story.look()
    story.look_at(CALL)
    story.send("sell", CALL, 0.1, label)
    story.ended(label)
    story.leg(label, 0.0)
    story.rest()
    return label


def take_back(story: Story, label: str) -> None:
    story.look()
    story.call("private/cancel", {"order_id": label}, {})
    story.resting.pop(label)
    story.point("cancelled", CALL, "sell", 0.1, label, story.trace.calls[-1])
    story.rest()


def looks_at(story: Story, look: int) -> WireCall:
    """What is asked of a resting order's quote between two iterations."""
    return story.call("public/ticker", {"instrument_name": CALL}, {}, look=look)


def take_back_at_look(story: Story, label: str, look: int) -> None:
    """Cancel an order that rests, before the next decision."""
    looks_at(story, look)
    story.call("private/cancel", {"order_id": label}, {}, look=look)
    story.resting.pop(label)
    story.point("cancelled", CALL, "sell", 0.1, label, story.trace.calls[-1])
