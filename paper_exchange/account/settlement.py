"""What time alone does to the paper account: the 08:00 UTC session turn, expiry, delivery, and forgetting.

In: the books and the time in milliseconds. Out: orders cancelled, expired positions settled in coin at their
delivery price, profit counters of the session started anew. An expired position whose delivery price is not known
yet stays until it is. No disk, no network.
"""

from __future__ import annotations

from paper_exchange.account.books import Books
from paper_exchange.account.orders import Order
from paper_exchange.account.positions import Position
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, MINUTE_MS
from paper_exchange.market.times import session_start_ms

UNFILLED_ORDER_KEPT_MS = 30 * MINUTE_MS
FILLED_ORDER_KEPT_MS = 24 * HOUR_MS
TRADE_KEPT_MS = DAY_MS


def turn_time(books: Books, now_ms: int) -> None:
    """Everything that was due up to now, in the order of time."""
    turned_at_ms = session_start_ms(now_ms)
    if turned_at_ms > books.state.session_start_ms:
        _end_day_orders(books, turned_at_ms)
    _end_expired_orders(books, now_ms)
    _deliver_expired_positions(books, now_ms)
    if turned_at_ms > books.state.session_start_ms:
        _start_session(books, turned_at_ms)


def expired_positions(books: Books, now_ms: int) -> list[Position]:
    """Positions past their expiry, earliest first: due for delivery, or waiting for its price."""
    held = [position for position in books.state.positions.values() if position.size != 0.0]
    due = [position for position in held if _expiry_ms(books, position) <= now_ms]
    return sorted(due, key=lambda position: _expiry_ms(books, position))


def _expiry_ms(books: Books, position: Position) -> int:
    return books.state.contracts[position.instrument_name].listing.expires_at_ms


def forget_old(books: Books, now_ms: int) -> None:
    """Drop closed orders and trades as Deribit does, and contracts nobody holds any more: memory stays flat."""
    state = books.state
    for order in list(state.closed_orders.values()):
        if now_ms - order.updated_at_ms > _kept_ms(order):
            del state.closed_orders[order.order_id]
    while state.trades and now_ms - state.trades[0].traded_at_ms > TRADE_KEPT_MS:
        state.trades.pop(0)
    ordered = {order.instrument_name for order in state.orders.values()}
    for name in state.contracts.keys() - state.positions.keys() - ordered:
        del state.contracts[name]
    for key in [key for key in state.taken_quotes if key.partition("/")[0] not in state.contracts]:
        del state.taken_quotes[key]


def _kept_ms(order: Order) -> int:
    return UNFILLED_ORDER_KEPT_MS if order.filled_amount == 0.0 else FILLED_ORDER_KEPT_MS


# --- orders --------------------------------------------------------------------


def _end_day_orders(books: Books, turned_at_ms: int) -> None:
    for order in list(books.state.orders.values()):
        if order.time_in_force == "good_til_day" and order.created_at_ms < turned_at_ms:
            books.cancel(order, "settlement", session_start_ms(order.created_at_ms) + DAY_MS)


def _end_expired_orders(books: Books, now_ms: int) -> None:
    for order in list(books.state.orders.values()):
        expires_at_ms = books.state.contracts[order.instrument_name].listing.expires_at_ms
        if expires_at_ms <= now_ms:
            books.cancel(order, "settlement", expires_at_ms)


# --- positions -----------------------------------------------------------------


def _deliver_expired_positions(books: Books, now_ms: int) -> None:
    settled: dict[tuple[str, int], int] = {}
    for position in expired_positions(books, now_ms):
        listing = books.state.contracts[position.instrument_name].listing
        price = books.market.delivery_price(listing.currency, listing.expires_at_ms)
        if price is not None:
            at_ms = books.booking_time_ms(listing.expires_at_ms)
            books.book_delivery(position, price, at_ms)
            settled[listing.currency, listing.expires_at_ms] = at_ms
    for (currency, expires_at_ms), at_ms in settled.items():
        if books.settles_into_futures(expires_at_ms):
            books.book_settlement_summary(currency, at_ms)


def _start_session(books: Books, turned_at_ms: int) -> None:
    """Profits of the session are counted from the marks now, the first seen since 08:00 UTC."""
    state = books.state
    state.session_start_ms = turned_at_ms
    state.session_realized_coin = dict.fromkeys(state.balances_coin, 0.0)
    for name, position in list(state.positions.items()):
        position.session_price_coin = state.contracts[name].mark_coin
        position.session_realized_coin = 0.0
        if position.size == 0.0:
            del state.positions[name]
    books.revision += 1
