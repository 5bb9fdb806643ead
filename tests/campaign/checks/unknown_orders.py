"""What must be known of an order of unknown fate before its coin trades again (I9).

In: a View. Out: a line for each breach, whatever lives lie in between. Judged from the requests as they left and the
answers the agent could use; times are the exchange's own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from tests.campaign.checks.joins import CLOCK_SLACK, View, coin_of, deadline_of, fate
from tests.campaign.world.trace import WireCall

ARRIVES_NO_MORE = timedelta(seconds=5)  # after valid_until
LONGEST_LAG = timedelta(seconds=45)  # after valid_until every copy of the exchange's books would show the order
LOOK_UP, OPEN_ORDERS, POSITIONS = "private/get_order_state_by_label", "private/get_open_orders", "private/get_positions"


def unknown_waits(view: View) -> Iterator[str]:
    """I9: no order leaves while it is not known what became of an earlier one of its coin.

    It is known once the exchange has shown the order and its request can arrive no more; or once two look-ups have
    shown nothing, the second 45 s after valid_until, with open orders and positions read after it.
    """
    unknown: dict[str, WireCall] = {}
    for call in view.sends:
        coin = coin_of(view.symbol(call))
        earlier = unknown.get(coin)
        problem = None if earlier is None else _why_unknown(view, earlier, call)
        if earlier is not None and problem is not None:
            yield f"call {call.number} on {coin} at {call.sent_at}: of call {earlier.number} nobody can know, {problem}"
        if fate(view, call) == "unknown":
            unknown[coin] = call


def _why_unknown(view: View, earlier: WireCall, call: WireCall) -> str | None:
    label, deadline_at = str(earlier.params.get("label")), deadline_of(earlier)
    if call.sent_at - ARRIVES_NO_MORE < deadline_at:
        return f"it may arrive until {deadline_at}"
    between = view.trace.calls[view.trace.calls.index(earlier) + 1 : view.trace.calls.index(call)]
    if any(_shows(view, other, label) for other in between):
        return None
    empty = [other for other in between if _is_empty_look_up(view, other, label)]
    if len(empty) < 2:
        return f"{len(empty)} look-ups showed nothing"
    if empty[-1].sent_at + CLOCK_SLACK - LONGEST_LAG < deadline_at:
        return f"the last look-up was at {empty[-1].sent_at}"
    after = [other for other in between if other.number > empty[-1].number]
    is_read = _has_read(view, after, OPEN_ORDERS) and _has_read(view, after, POSITIONS)
    return None if is_read else "open orders or positions were not read after the last look-up"


def _shows(view: View, call: WireCall, label: str) -> bool:
    """By its label in any answer, or by any order in a look-up of it, whatever field of that was bent (X27)."""
    is_found = call.method == LOOK_UP and call.params.get("label") == label and bool(view.heard(call))
    return is_found or (view.heard(call) is not None and label.encode() in (call.heard or b""))


def _is_empty_look_up(view: View, call: WireCall, label: str) -> bool:
    return call.method == LOOK_UP and call.params.get("label") == label and view.heard(call) == []


def _has_read(view: View, calls: Sequence[WireCall], method: str) -> bool:
    return any(call.method == method and view.heard(call) is not None for call in calls)
