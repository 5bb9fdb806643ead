"""What the exchange checks of an order before it takes it, each in Deribit's words.

In: instruments, quotes, prices and amounts in coin, times in milliseconds. Out: nothing, or an RpcError. Nothing
is changed here.
"""

from __future__ import annotations

from core import pricing
from paper_exchange.account.books import Books
from paper_exchange.account.margins import Claim, claim_of, open_orders_margin_coin
from paper_exchange.account.orders import Order, OrderRequest
from paper_exchange.account.valuation import coin_figures
from paper_exchange.market import errors
from paper_exchange.market.bands import band_of
from paper_exchange.market.market import Listing, Quote
from paper_exchange.market.names import currency_of, is_instrument_name

MAX_LABEL_CHARACTERS = 64


def tradable_listing(books: Books, name: str) -> Listing:
    """A listed option before its expiry: 'wrong format' for nonsense, 13020 for anything else."""
    if not is_instrument_name(name):
        raise errors.invalid_params("instrument_name", "wrong format")
    listing = books.market.listing(name)
    if listing is None or listing.expires_at_ms <= books.now_ms():
        raise errors.not_found()
    return listing


def known_quote(books: Books, name: str) -> Quote:
    """The last quote, once the source has shown it and the index."""
    quote = books.market.quote(name)
    if quote is None or currency_of(name) not in books.state.index_usd:
        raise errors.temporarily_unavailable()
    return quote


def check_form(request: OrderRequest) -> None:
    """Label, presence of a price, and flags that exclude each other."""
    if len(request.label) > MAX_LABEL_CHARACTERS:
        raise errors.invalid_params("label", "too long")
    if request.order_type == "limit" and request.price_coin is None:
        raise errors.invalid_params("price", "value required")
    if request.post_only and (request.order_type == "market" or request.time_in_force != "good_til_cancelled"):
        raise errors.post_only_not_allowed()


def check_amount(listing: Listing, amount: float) -> None:
    """A positive number of whole steps."""
    if not amount > 0.0:
        raise errors.invalid_params("amount", "must be a positive number")
    if not pricing.is_multiple_of_step(amount, listing.min_trade_amount):
        raise errors.invalid_params("amount", "must be a multiple of the minimum order size")


def check_price(listing: Listing, quote: Quote, price_coin: float) -> None:
    """On the tick grid and inside the price band."""
    if not price_coin > 0.0:
        raise errors.invalid_params("price", "must be a positive number")
    if not pricing.is_on_tick(price_coin, listing.tick_size, listing.tick_steps):
        raise errors.invalid_params("price", "must conform to tick size")
    band = band_of(listing, quote)
    if price_coin < band.min_price_coin:
        raise errors.price_too_low(band.min_price_coin)
    if price_coin > band.max_price_coin:
        raise errors.price_too_high(band.max_price_coin)


def check_deadline(books: Books, valid_until_ms: int | None) -> None:
    """13888 once valid_until has passed."""
    if valid_until_ms is not None and books.now_ms() > valid_until_ms:
        raise errors.timed_out()


def check_funds(books: Books, listing: Listing, claim: Claim, reduce_only: bool, replaced: Order | None = None) -> None:
    """Available funds for the margin the order adds; for a buy also coins for premium and fee.

    `claim` carries the price expected to be paid; a reduce_only order adds no margin.
    """
    fee_coin = pricing.trade_fee_coin(claim.price_coin, claim.amount)
    cost_coin = claim.price_coin * claim.amount + fee_coin
    if claim.direction == "buy" and cost_coin > books.state.balances_coin[listing.currency]:
        raise errors.not_enough_funds()
    if reduce_only:
        return
    added_coin = _added_margin_coin(books, listing, claim, replaced)
    figures = coin_figures(books.state, listing.currency, books.now_ms())
    if added_coin > max(0.0, figures.available_funds_coin):
        raise errors.not_enough_funds()


def _added_margin_coin(books: Books, listing: Listing, claim: Claim, replaced: Order | None) -> float:
    index_usd = books.state.index_usd[listing.currency]
    size = books.state.size_of(listing.name)
    orders = books.state.orders_on(listing.name)
    before = [claim_of(order) for order in orders]
    after = [claim_of(order) for order in orders if order is not replaced] + [claim]
    margin_after_coin = open_orders_margin_coin(listing, size, after, index_usd)
    return margin_after_coin - open_orders_margin_coin(listing, size, before, index_usd)
