"""What may go over the wire as an order (I3 I4 I5 I7 I9 I10).

In: a View. Out: a line for each breach. Judged from the requests as they left and from what the agent had been given
before each of them; times are the exchange's own. Prices in coin, amounts in coin. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from core import pricing
from paper_exchange.market.market import MIN_TRADE_AMOUNT
from paper_exchange.market.names import parse_option_name
from tests.campaign.checks.joins import (
    CLOCK_SLACK,
    EPSILON,
    FINAL_STATES,
    MOVES,
    View,
    coin_of,
    deadline_of,
    is_own,
    number,
    ticker_before,
)
from tests.campaign.world.trace import WireCall, is_own_label

MIN_COLLAR_TICKS = 3  # two ticks are always allowed, and rounding to our side may cost a third
BENT_FIELD = "X27"


def buys_only_reduce(view: View) -> Iterator[str]:
    """I3, wire: every buy is reduce_only."""
    for call in view.sends:
        if call.method == "private/buy" and call.params.get("reduce_only") is not True:
            yield f"call {call.number}: a buy of {view.symbol(call)} that is not reduce_only"


def limit_calls_only(view: View) -> Iterator[str]:
    """I4: orders are limit orders on calls of BTC or ETH, and no method can move an option but buy, sell and edit."""
    for call in view.sends:
        parts = parse_option_name(view.symbol(call))
        if parts is None or not parts.is_call or parts.currency not in MIN_TRADE_AMOUNT:
            yield f"call {call.number}: an order on {view.symbol(call)!r}"
        if call.params.get("type") != "limit":
            yield f"call {call.number}: an order of type {call.params.get('type')!r}"
    for call in view.trace.calls:
        if call.method.startswith("private/") and call.method not in (*MOVES, *KNOWN_PRIVATE):
            yield f"call {call.number}: {call.method} is not a method the agent has any use for"


KNOWN_PRIVATE = frozenset(
    {
        "private/cancel",
        "private/get_account_summaries",
        "private/get_account_summary",
        "private/get_margins",
        "private/get_open_orders",
        "private/get_order_state",
        "private/get_order_state_by_label",
        "private/get_positions",
        "private/get_transaction_log",
        "private/get_user_trades_by_order",
    }
)


def others_are_left_alone(view: View) -> Iterator[str]:
    """I4: no order of another hand is cancelled or edited, whatever its label begins with."""
    foreign = {str(p.event.order_id) for p in view.trace.points if p.event.kind == "accepted" and not is_own(p)}
    for call in view.trace.calls:
        order_id = str(call.params.get("order_id"))
        if call.method in ("private/cancel", "private/edit") and (order_id in foreign or "foreign" in order_id):
            yield f"call {call.number}: {call.method} of {order_id}, which is not ours"


def sensible_size(view: View) -> Iterator[str]:
    """I5: 0 < amount <= max_order_size, in whole minimum amounts; for edits too."""
    for call in view.moves:
        coin, amount = coin_of(view.symbol(call)), number(call.params, "amount")
        if coin not in MIN_TRADE_AMOUNT:
            continue  # I4 speaks
        limit = view.trace.limits.max_order_size_coin[coin]
        if amount is None or not 0.0 < amount <= limit:
            yield f"call {call.number}: amount {call.params.get('amount')!r} of {view.symbol(call)}, limit {limit:g}"
        elif not pricing.is_multiple_of_step(amount, MIN_TRADE_AMOUNT[coin]):
            yield f"call {call.number}: amount {amount!r} of {view.symbol(call)} is not in whole steps"


def sensible_price(view: View) -> Iterator[str]:
    """I5: price > 0, on the instrument's tick, and not worse for us than the collar around the mark last heard.

    Only the side that costs money is bounded: a sale far above the mark does no harm.
    """
    for call in view.moves:
        price, symbol = number(call.params, "price"), view.symbol(call)
        if price is None or not price > 0.0:
            yield f"call {call.number}: price {call.params.get('price')!r}"
            continue
        option, ticker = _true_terms(view, call), ticker_before(view, call)
        steps = [(step["above_price"], step["tick_size"]) for step in (option or {}).get("tick_size_steps", ())]
        tick = None if option is None else pricing.tick_size_at(price, option["tick_size"], steps)
        if tick is not None and not pricing.is_multiple_of_step(price, tick):
            yield f"call {call.number}: price {price!r} of {symbol} is not on the tick {tick:g}"
        mark = None if ticker is None else number(ticker, "mark_price")
        if tick is not None and mark is not None:
            worst = max(mark * view.trace.limits.price_collar_pct / 100.0, MIN_COLLAR_TICKS * tick) + tick
            given_up = mark - price if view.is_sell(call) else price - mark
            if given_up > worst + EPSILON:
                yield f"call {call.number}: price {price:g} of {symbol} is beyond the collar around {mark:g}"


def _true_terms(view: View, call: WireCall) -> dict[str, Any] | None:
    """The instrument as the exchange answered when it was last asked before an order, whatever the agent was given."""
    for other in view.before(call):
        if other.method == "public/get_instrument" and other.params.get("instrument_name") == view.symbol(call):
            found = (other.answered or {}).get("result")
            if isinstance(found, dict):
                return found
    return None


def few_orders_a_day(view: View) -> Iterator[str]:
    """I30: no sale once the orders of a UTC day, filled or not, are as many as both daily limits together.

    Exempt: schedules in which somebody destroyed lines of the log (D05, D07, D11).
    """
    limits = view.trace.limits
    most = limits.max_orders_per_day + limits.max_unfilled_orders_per_day
    if view.all_disk_rows & {"D05", "D07", "D11"}:
        return
    of_day: Counter[date] = Counter()
    for label, points in sorted(view.accepted.items(), key=lambda item: item[1][0].event.at):
        day = points[0].event.at.date()
        if points[0].event.direction == "sell" and of_day[day] >= most:
            yield f"{label}: a sale after {of_day[day]} orders of its day, of {most} in all"
        of_day[day] += 1


def sent_once(view: View) -> Iterator[str]:
    """I7: a label is put on the wire at most once, in all lives together; an order without one of ours never is."""
    counted: dict[str, list[int]] = {}
    for call in view.sends:
        label = str(call.params.get("label", ""))
        counted.setdefault(label, []).append(call.number)
        if not is_own_label(label):
            yield f"call {call.number}: label {label!r} is not one of ours"
    for label, numbers in counted.items():
        if len(numbers) > 1:
            yield f"label {label} was sent {len(numbers)} times, calls {', '.join(map(str, numbers))}"


def deadline_is_short(view: View) -> Iterator[str]:
    """I9: every order and every new price says when it lapses, soon, by the exchange's clock (a minute at most)."""
    for call in view.moves:
        until = deadline_of(call)
        if not call.sent_at - CLOCK_SLACK <= until <= call.sent_at + timedelta(seconds=60):
            yield f"call {call.number}: valid_until {call.params.get('valid_until')!r}, sent at {call.sent_at}"


def echo_is_checked(view: View) -> Iterator[str]:
    """I10: an order accepted other than it was asked is cancelled before anything else is done with its coin.

    A life that ends in between is exempt (the next one cancels what is left over, see I26), and an answer of which a
    field was taken out or bent (X27): it is no answer, the order's fate is unknown (I9, I11).
    """
    for call in view.sends:
        order = _accepted_order(view, call)
        if order is None or order.get("order_state") in FINAL_STATES or _is_as_asked(call, order):
            continue
        if BENT_FIELD in call.rows:
            continue
        for later in view.after(call):
            if later.method == "private/cancel" and later.params.get("order_id") == order.get("order_id"):
                break
            if later.method in MOVES and coin_of(view.symbol(later)) == coin_of(view.symbol(call)):
                yield f"call {call.number}: the order accepted differs, and call {later.number} went on with it"
                break
            if later.iteration != call.iteration:
                yield f"call {call.number}: the order accepted differs, and was not cancelled in its iteration"
                break


def _accepted_order(view: View, call: WireCall) -> dict[str, Any] | None:
    result = view.heard(call)
    order = result.get("order") if isinstance(result, dict) else None
    return order if isinstance(order, dict) else None


def _is_as_asked(call: WireCall, order: dict[str, Any]) -> bool:
    names = ("instrument_name", "amount", "price", "label")
    return all(order.get(name) == call.params.get(name) for name in names)
