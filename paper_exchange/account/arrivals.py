"""How an order gets onto the paper account's book, and how it is changed there.

In: a request (prices and amounts in coin). Out: the order on the book, not yet traded, or an RpcError and an
account that has not changed. Post-only orders are moved off the touch and reduce-only ones cut to the position
here; the plain checks are in `checks.py`, the writing in `books.py`.
"""

from __future__ import annotations

from dataclasses import replace

from core import pricing
from paper_exchange.account.books import Books
from paper_exchange.account.checks import (
    check_amount,
    check_deadline,
    check_form,
    check_funds,
    check_price,
    known_quote,
    tradable_listing,
)
from paper_exchange.account.margins import Claim
from paper_exchange.account.matching import crosses, touch
from paper_exchange.account.orders import Direction, EditRequest, Order, OrderRequest
from paper_exchange.market import errors
from paper_exchange.market.bands import band_of
from paper_exchange.market.market import Listing, Quote
from paper_exchange.market.names import currency_of


def accept(books: Books, request: OrderRequest) -> Order:
    """Check a request and put it on the book.

    A reduce_only order without an opposite position is refused (11030); one larger than the position is cut to it.
    """
    listing = tradable_listing(books, request.instrument_name)
    check_form(request)
    check_amount(listing, request.amount)
    check_deadline(books, request.valid_until_ms)
    quote = known_quote(books, listing.name)
    wanted = _fit_to_market(books, listing, quote, request)
    check_funds(books, listing, _claim(quote, wanted), wanted.reduce_only)
    order = _new_order(books, wanted)
    books.add_order(order, listing, quote)
    return order


def change(books: Books, request: EditRequest) -> Order:
    """Check an edit and change the order in place. A reject_post_only order that would now trade is cancelled."""
    order = find_open_order(books, request.order_id)
    listing = tradable_listing(books, order.instrument_name)
    asked = _edited_request(order, request)
    check_amount(listing, asked.amount)
    check_deadline(books, request.valid_until_ms)
    if asked.amount <= order.filled_amount:
        raise errors.already_filled()
    quote = known_quote(books, listing.name)
    if asked.reject_post_only and _would_trade(quote, asked):
        books.cancel(order, "edit_post_only_reject", books.now_ms())
        return order
    wanted = _fit_to_market(books, listing, quote, asked, order.filled_amount)
    remaining = replace(wanted, amount=round(wanted.amount - order.filled_amount, 8))
    check_funds(books, listing, _claim(quote, remaining), wanted.reduce_only, replaced=order)
    _apply_edit(order, wanted, books.now_ms())
    books.note_edit(order)
    return order


def find_open_order(books: Books, order_id: str) -> Order:
    """An open order of ours: 10004 when unknown, 11044 when no longer open."""
    order = books.state.orders.get(order_id)
    if order is not None:
        return order
    raise errors.not_open_order() if order_id in books.state.closed_orders else errors.order_not_found()


# --- post only and reduce only ---------------------------------------------------


def _fit_to_market(
    books: Books, listing: Listing, quote: Quote, request: OrderRequest, filled_amount: float = 0.0
) -> OrderRequest:
    """The request with a checked price, moved if post_only, and an amount cut to the position if reduce_only."""
    amount = request.amount
    if request.reduce_only:
        amount = min(amount, round(filled_amount + _closable(books, request), 8))
    if request.price_coin is None:
        return replace(request, amount=amount, price_coin=_furthest_price(listing, quote, request.direction))
    check_price(listing, quote, request.price_coin)
    return replace(request, amount=amount, price_coin=_post_only_price(listing, quote, request))


def _furthest_price(listing: Listing, quote: Quote, direction: Direction) -> float:
    """What a market order may not pass: Deribit writes the end of the price band into it."""
    band = band_of(listing, quote)
    return band.min_price_coin if direction == "sell" else band.max_price_coin


def _closable(books: Books, request: OrderRequest) -> float:
    position = books.state.positions.get(request.instrument_name)
    closable = 0.0 if position is None else position.closable(request.direction)
    if closable <= 0.0:
        raise errors.invalid_reduce_only_order()
    return closable


def _would_trade(quote: Quote, request: OrderRequest) -> bool:
    touch_coin, _ = touch(quote, request.direction)
    return request.price_coin is not None and crosses(request.direction, request.price_coin, touch_coin)


def _post_only_price(listing: Listing, quote: Quote, request: OrderRequest) -> float | None:
    """One tick off the touch where a post_only order would trade; refused if it says reject_post_only."""
    touch_coin, _ = touch(quote, request.direction)
    if touch_coin is None or not request.post_only or not _would_trade(quote, request):
        return request.price_coin
    moved_coin = _next_tick(listing, touch_coin, request.direction)
    if request.reject_post_only or moved_coin <= 0.0:
        raise errors.post_only_reject()
    return moved_coin


def _next_tick(listing: Listing, touch_coin: float, direction: Direction) -> float:
    # The finest tick never steps over a price of the coarser grid; rounding then finds that grid.
    if direction == "sell":
        above_coin = round(touch_coin + listing.tick_size, 8)
        return pricing.round_price_up(above_coin, listing.tick_size, listing.tick_steps)
    below_coin = round(touch_coin - listing.tick_size, 8)
    return pricing.round_price_down(below_coin, listing.tick_size, listing.tick_steps)


# --- writing -------------------------------------------------------------------


def _claim(quote: Quote, request: OrderRequest) -> Claim:
    """A market order is expected to pay what is shown; where nothing is shown it will not trade."""
    touch_coin, _ = touch(quote, request.direction)
    price_coin = touch_coin if request.order_type == "market" else request.price_coin
    return Claim(request.direction, request.amount, 0.0 if price_coin is None else price_coin)


def _new_order(books: Books, request: OrderRequest) -> Order:
    now_ms = books.now_ms()
    return Order(
        order_id=books.next_order_id(currency_of(request.instrument_name)),
        instrument_name=request.instrument_name,
        direction=request.direction,
        amount=request.amount,
        price_coin=request.price_coin,
        order_type=request.order_type,
        time_in_force=request.time_in_force,
        label=request.label,
        post_only=request.post_only,
        reject_post_only=request.reject_post_only,
        reduce_only=request.reduce_only,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def _edited_request(order: Order, request: EditRequest) -> OrderRequest:
    """The order as the edit wants it; what the edit leaves out stays."""
    return OrderRequest(
        instrument_name=order.instrument_name,
        direction=order.direction,
        amount=order.amount if request.amount is None else request.amount,
        price_coin=order.price_coin if request.price_coin is None else request.price_coin,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        label=order.label,
        post_only=order.post_only if request.post_only is None else request.post_only,
        reject_post_only=(order.reject_post_only if request.reject_post_only is None else request.reject_post_only),
        reduce_only=order.reduce_only if request.reduce_only is None else request.reduce_only,
    )


def _apply_edit(order: Order, wanted: OrderRequest, now_ms: int) -> None:
    order.amount = wanted.amount
    order.price_coin = wanted.price_coin
    order.post_only = wanted.post_only
    order.reject_post_only = wanted.reject_post_only
    order.reduce_only = wanted.reduce_only
    order.updated_at_ms = now_ms
    order.replaced = True
