"""When an order of the paper account trades: only against a quote that somebody shows, never more than is shown.

In: an open order and the market's quotes (prices and amounts in coin). Out: fills booked in the account.
A sell trades when the bid reaches its limit, a buy when the ask does: on arrival at the quote (taker), later at
its own limit (maker). The account never trades with itself.
"""

from __future__ import annotations

import math

from core import pricing
from paper_exchange.account.books import Books
from paper_exchange.account.orders import IMMEDIATE, Direction, Liquidity, Order
from paper_exchange.account.state import TakenQuote
from paper_exchange.market.market import Quote


def match_arrival(books: Books, order: Order) -> None:
    """Trade a new or edited order as taker; what may not rest is cancelled afterwards."""
    is_all_or_nothing = order.time_in_force == "fill_or_kill"
    if not is_all_or_nothing or _fillable(books, order) >= order.remaining:
        _fill(books, order, "T")
    may_rest = order.order_type == "limit" and order.time_in_force not in IMMEDIATE
    if order.state == "open" and not may_rest:
        books.cancel(order, None, books.now_ms())


def match_resting(books: Books) -> None:
    """Fill the resting orders which the quotes have come to, oldest first, at their own limit."""
    for order in list(books.state.orders.values()):
        _fill(books, order, "M")
        if order.state == "open" and order.reduce_only and _closable(books, order) <= 0.0:
            books.cancel(order, "reduce_only", books.now_ms())


def touch(quote: Quote, direction: Direction) -> tuple[float | None, float | None]:
    """Price and amount that an order in this direction would meet: the bid for a sell, the ask for a buy."""
    if direction == "sell":
        return quote.bid_coin, quote.bid_amount
    return quote.ask_coin, quote.ask_amount


def crosses(direction: Direction, limit_coin: float, touch_coin: float | None) -> bool:
    """Whether an order with this limit would trade against the quote."""
    if touch_coin is None:
        return False
    return touch_coin >= limit_coin if direction == "sell" else touch_coin <= limit_coin


def _fill(books: Books, order: Order, liquidity: Liquidity) -> None:
    amount = _fillable(books, order)
    quote = books.market.quote(order.instrument_name)
    if amount <= 0.0 or quote is None:
        return
    touch_coin, _ = touch(quote, order.direction)
    price_coin = order.price_coin if liquidity == "M" else touch_coin
    if price_coin is None:
        return
    _remember_taken(books, quote, order.direction, amount)
    books.book_fill(order, amount, price_coin, liquidity)


def _fillable(books: Books, order: Order) -> float:
    """How much of the order the current quote can fill, in whole steps."""
    quote = books.market.quote(order.instrument_name)
    if quote is None:
        return 0.0
    touch_coin, _ = touch(quote, order.direction)
    limit_coin = touch_coin if order.price_coin is None else order.price_coin
    if limit_coin is None or not crosses(order.direction, limit_coin, touch_coin):
        return 0.0
    amount = min(order.remaining, _untaken(books, quote, order.direction))
    if order.reduce_only:
        amount = min(amount, _closable(books, order))
    step = books.state.contracts[order.instrument_name].listing.min_trade_amount
    return pricing.floor_to_step(amount, step)


def _untaken(books: Books, quote: Quote, direction: Direction) -> float:
    # An order cannot trade twice against the same displayed amount: the market does not know us.
    _, shown_amount = touch(quote, direction)
    if shown_amount is None:
        return math.inf
    taken = books.state.taken_quotes.get(_side_key(quote, direction))
    if taken is None or taken.quoted_at_ms != quote.timestamp_ms:
        return shown_amount
    return round(shown_amount - taken.amount, 8)


def _remember_taken(books: Books, quote: Quote, direction: Direction, amount: float) -> None:
    key = _side_key(quote, direction)
    taken = books.state.taken_quotes.get(key)
    if taken is not None and taken.quoted_at_ms == quote.timestamp_ms:
        taken.amount = round(taken.amount + amount, 8)
    else:
        books.state.taken_quotes[key] = TakenQuote(quote.timestamp_ms, amount)


def _side_key(quote: Quote, direction: Direction) -> str:
    return f"{quote.name}/{direction}"


def _closable(books: Books, order: Order) -> float:
    position = books.state.positions.get(order.instrument_name)
    return 0.0 if position is None else position.closable(order.direction)
