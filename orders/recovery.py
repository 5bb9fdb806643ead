"""How earlier orders ended: those whose answer was lost, those that may still be open, copies nobody asked for.

In: the client, the order log, open orders. Out: lines in the order log, cancelled orders, the symbols that may have
traded meanwhile. Everything found out is written down at once, so a question that fails later loses nothing. That two
orders stood under one label is known to the order log alone. Talks to Deribit through the client's protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from core.log_lines.order_events import OrderClosed, resolved
from models import DeribitError, ExchangeClient, Order
from orders.order_log import (
    ABSENT_AFTER_SECONDS,
    RESOLVE_AFTER_SECONDS,
    LoggedOrder,
    OrderMemory,
    seconds_since_deadline,
)

ORDER_MEMORY_SECONDS = 25 * 60.0  # the exchange forgets orders after half an hour

OnEnded = Callable[[str], None]


def _nothing_to_do(_symbol: str) -> None:
    """For callers that ask again anyway."""


class LeftOvers:
    """Earlier orders, as one iteration finds them; `on_ended` hears of each symbol that may have traded.

    `resting`: labels of orders that are meant to rest, and are left alone. `problem`: why not all could be looked up.
    `cancelled`: symbols of orders that were resting until now.
    """

    def __init__(
        self, client: ExchangeClient, order_log: OrderMemory, on_ended: OnEnded, resting: Collection[str] = ()
    ) -> None:
        self._client, self._order_log, self._on_ended = client, order_log, on_ended
        self._resting = resting
        self.problem: DeribitError | None = None
        self.cancelled: list[str] = []

    def look_up(self) -> None:
        """Ask how they ended; a failure is kept for later, because open orders are to be cancelled all the same."""
        try:
            recover_orders(self._client, self._order_log, self._on_ended, self._resting)
        except DeribitError as error:
            if error.exit_code is not None:
                raise
            self.problem = error

    def take_back(self, orders: tuple[Order, ...]) -> bool:
        """Cancel our own among the open orders; whether there were any."""
        note_duplicates(self._client, orders)
        note_seen_orders(self._client, self._order_log, orders)
        cancelled = cancel_own_orders(self._client, [one for one in orders if one.label not in self._resting])
        for symbol in cancelled:
            self._on_ended(symbol)
        self.cancelled += cancelled
        return bool(cancelled)


def recover_orders(
    client: ExchangeClient,
    order_log: OrderMemory,
    on_ended: OnEnded = _nothing_to_do,
    resting: Collection[str] = (),
) -> None:
    """Find out how orders ended whose answer was lost, and accepted ones not yet known to be over.

    An order whose outcome is unknown is looked up once it can no longer be executed. Raises DeribitError when the
    exchange cannot be asked; the orders not yet found stay open and their coins wait.
    """
    unresolved = order_log.unresolved()
    if unresolved:
        client.get_time()  # whether an order can still be executed is told by the exchange's clock alone
    now = client.server_now()
    over = [order for order in unresolved if seconds_since_deadline(order.intent, now) > RESOLVE_AFTER_SECONDS]
    left = [order for order in order_log.unclosed() if order.label not in resting]
    for order in [*over, *left]:
        found = client.get_orders_by_label(order.parts.underlying, order.label)
        if len(found) > 1:
            client.note_duplicated(order.label, order.symbol)
        if not order.is_certain and (found or _is_confirmed_absent(order, client.server_now())):
            _note_whether_it_exists(client, order_log, order, found)
        if order.is_certain and not order.is_closed and (found or _is_confirmed_absent(order, client.server_now())):
            _close(client, order_log, order, found, on_ended)


def _is_confirmed_absent(order: LoggedOrder, now: datetime) -> bool:
    """Whether an empty look-up is final: the second one, so late that no copy of the exchange's books can lag so far.

    Open orders and positions are read after it in the same iteration, and count whatever this says.
    """
    order.empty_look_ups += 1
    return order.empty_look_ups >= 2 and seconds_since_deadline(order.intent, now) >= ABSENT_AFTER_SECONDS


def cancel_leftovers(client: ExchangeClient, order_log: OrderMemory) -> None:
    """At the end of a run: cancel what may rest of ours and write down how it ended. Raises DeribitError."""
    if not (order_log.unresolved() or order_log.unclosed()):
        return
    orders = client.get_open_orders()
    note_duplicates(client, orders)
    cancel_own_orders(client, orders)
    recover_orders(client, order_log)


def cancel_own_orders(client: ExchangeClient, orders: Iterable[Order]) -> list[str]:
    """Cancel our own orders that are still resting; their symbols. Foreign orders are left alone."""
    own = [order for order in orders if order.is_own and order.is_live]
    for order in own:
        client.cancel_order(order.order_id)
    return [order.symbol for order in own]


def cancel_if_live(client: ExchangeClient, order: Order) -> Order:
    """The order, cancelled where it still rested."""
    return (client.cancel_order(order.order_id).order or order) if order.is_live else order


def note_duplicates(client: ExchangeClient, orders: Iterable[Order]) -> None:
    """Write down where two live orders of ours carry one label: something on the way sent a request twice."""
    first_of: dict[str, Order] = {}
    for order in orders:
        if order.is_own and order.is_live and first_of.setdefault(order.label, order) is not order:
            client.note_duplicated(order.label, order.symbol)


def note_seen_orders(client: ExchangeClient, order_log: OrderMemory, orders: Iterable[Order]) -> None:
    """An order of unknown outcome that is among the open ones exists, whether or not later requests succeed."""
    shown = tuple(orders)
    for known in order_log.unresolved():
        seen = tuple(order for order in shown if order.label == known.label)
        if seen:
            _note_whether_it_exists(client, order_log, known, seen)


def _note_whether_it_exists(
    client: ExchangeClient, order_log: OrderMemory, order: LoggedOrder, found: tuple[Order, ...]
) -> None:
    """The exchange forgets orders: an empty answer about an old one leaves it to the positions."""
    now = client.server_now()
    is_forgotten = not found and seconds_since_deadline(order.intent, now) > ORDER_MEMORY_SECONDS
    order_log.note(resolved(order.label, order.symbol, found, is_forgotten, now).as_line())


def _close(
    client: ExchangeClient, order_log: OrderMemory, order: LoggedOrder, found: tuple[Order, ...], on_ended: OnEnded
) -> None:
    """Cancel an order that still rests, and write down how it ended once that is certain."""
    last = [cancel_if_live(client, one) for one in found]
    if any(one.is_live for one in last):
        return
    filled = sum(one.filled_amount_coin for one in last) if last else None  # None: forgotten, positions know
    event = OrderClosed(label=order.label, symbol=order.symbol, filled_amount_coin=filled, at=client.server_now())
    order_log.note(event.as_line())
    on_ended(order.symbol)
