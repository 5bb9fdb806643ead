"""Whether each state is one whole snapshot of what was heard (I13).

In: a View. Out: a line for each breach. The states in the decision log are held against the replies of their
iteration. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.campaign.checks.joins import View, coin_of
from tests.campaign.world.trace import WireCall

ORDERS, POSITIONS = "private/get_open_orders", "private/get_positions"


def snapshot_is_whole(view: View) -> Iterator[str]:
    """I13: an order leaves only from an iteration in which open orders, positions, accounts, index and chain of its
    coin were read with success before it."""
    for call in view.sends:
        coin = coin_of(view.symbol(call))
        wanted = {
            "private/get_open_orders": "",
            "private/get_positions": "",
            "private/get_account_summaries": "",
            "public/get_index_price": f"{coin.lower()}_usd",
            "public/get_book_summary_by_currency": coin,
        }
        good = [other for other in view.before(call) if view.heard(other) is not None]
        for method, about in wanted.items():
            if not any(other.method == method and about in (*other.params.values(), "") for other in good):
                yield f"call {call.number}: no {method} {about} was heard in its iteration"


def state_is_what_was_heard(view: View) -> Iterator[str]:
    """I13: the positions and open orders of a state are those of one reply of its iteration; nothing read as flat."""
    for where, records in view.records.items():
        calls = view.by_iteration.get(where, [])
        for state in (record["agent_state"] for record in records if record.get("agent_state") is not None):
            held = {it["symbol"] for it in state["portfolio"]["positions"] + state["portfolio"]["other_positions"]}
            orders = {order["order_id"].removeprefix("o-") for order in state["portfolio"]["open_orders"]}
            for method, name, known in (
                ("private/get_positions", "instrument_name", held),
                ("private/get_open_orders", "order_id", orders),
            ):
                if not any(_names(view, call, name) == known for call in calls if call.method == method):
                    yield f"life {where[0]} iteration {where[1]}: the state has {sorted(known)}, no {method} said so"


def _names(view: View, call: WireCall, name: str) -> set[str] | None:
    """Of a list that was heard: the names of its rows, flat positions aside."""
    rows = view.heard(call)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return {str(row.get(name) or "") for row in rows if row.get("size") != 0}


def orders_before_positions(view: View) -> Iterator[str]:
    """I13, I1: open orders are read before positions, so that a fill in between counts twice, never not at all: for the
    first look of an iteration, and for the last one before a sale."""
    for where, calls in view.by_iteration.items():
        looks = [call for call in calls if call.method in (ORDERS, POSITIONS) and view.heard(call) is not None]
        if looks and looks[0].method == POSITIONS:
            yield f"life {where[0]} iteration {where[1]}: positions (call {looks[0].number}) before open orders"
    for call in view.sends:
        looks = [it for it in view.before(call) if it.method in (ORDERS, POSITIONS) and view.heard(it) is not None]
        if view.is_sell(call) and looks and looks[0].method == ORDERS:
            yield f"call {call.number}: the last look before it was at open orders (call {looks[0].number})"
