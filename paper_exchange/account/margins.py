"""Standard margin of positions and resting orders, in coin.

Formulas are in `core/pricing.py`; here they are applied to an account: longs need none, a closing order needs none, an
opening sell holds its margin without the mark, an opening buy holds its premium. The index is the spot index in
USD. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from core import pricing
from paper_exchange.account.orders import Direction, Order
from paper_exchange.market.market import Listing


class Claim(NamedTuple):
    """The part of an order that can still be filled. `price_coin` matters for buys only."""

    direction: Direction
    amount: float
    price_coin: float


def claim_of(order: Order) -> Claim:
    """What a resting order can still do; a market order never rests."""
    return Claim(order.direction, order.remaining, order.price_coin or 0.0)


def position_initial_margin_coin(listing: Listing, size: float, mark_coin: float, index_usd: float) -> float:
    """Initial margin of a position; 0 for a long."""
    if size >= 0.0:
        return 0.0
    short_margin = pricing.short_call_initial_margin_coin if listing.is_call else pricing.short_put_initial_margin_coin
    return -size * short_margin(index_usd, listing.strike_usd, mark_coin)


def position_maintenance_margin_coin(listing: Listing, size: float, mark_coin: float) -> float:
    """Maintenance margin of a position; 0 for a long."""
    if size >= 0.0:
        return 0.0
    if listing.is_call:
        return -size * pricing.short_call_maintenance_margin_coin(mark_coin)
    return -size * pricing.short_put_maintenance_margin_coin(mark_coin)


def open_orders_margin_coin(listing: Listing, size: float, claims: Iterable[Claim], index_usd: float) -> float:
    """Margin of the orders of one instrument; the oldest ones are taken to close the position."""
    closable: dict[Direction, float] = {"sell": max(0.0, size), "buy": max(0.0, -size)}
    margin_coin = 0.0
    for claim in claims:
        closing = min(claim.amount, closable[claim.direction])
        closable[claim.direction] -= closing
        margin_coin += (claim.amount - closing) * _opening_margin_coin(listing, claim, index_usd)
    return margin_coin


def _opening_margin_coin(listing: Listing, claim: Claim, index_usd: float) -> float:
    if claim.direction == "buy":
        return claim.price_coin + pricing.trade_fee_coin(claim.price_coin, 1.0)
    if listing.is_call:
        return pricing.open_sell_call_margin_coin(index_usd, listing.strike_usd)
    base_coin = pricing.short_put_initial_margin_coin(index_usd, listing.strike_usd, mark_coin=0.0)
    return base_coin + pricing.TRADE_FEE_COIN
