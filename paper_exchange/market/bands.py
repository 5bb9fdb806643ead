"""The price band of an option: the lowest and highest limit price the exchange accepts.

In: mark price and ticks in coin. Out: prices in coin on the tick grid. Pure.
Deribit's formula is not public; `price_band` is an approximation fitted to fifteen recorded tickers, and it is
used only where the source of quotes has not shown the exchange's own band.
"""

from __future__ import annotations

from typing import NamedTuple

from core import pricing
from paper_exchange.market.market import Listing, Quote

WIDTH_ABOVE_COIN = 0.020
WIDTH_ABOVE_PER_MARK = 0.32
WIDTH_BELOW_COIN = 0.025
WIDTH_BELOW_PER_MARK = 0.12
WIDEST_ABOVE_COIN = 0.095
WIDEST_BELOW_COIN = 0.070


class PriceBand(NamedTuple):
    """Limit prices outside are refused with 10005 or 10007."""

    min_price_coin: float
    max_price_coin: float


def band_of(listing: Listing, quote: Quote) -> PriceBand:
    """The exchange's own band where it was seen, the approximation elsewhere."""
    if quote.min_price_coin is not None and quote.max_price_coin is not None:
        return PriceBand(quote.min_price_coin, quote.max_price_coin)
    return price_band(quote.mark_coin, listing.tick_size, listing.tick_steps)


def price_band(mark_coin: float, tick_size: float, tick_steps: pricing.TickSteps = ()) -> PriceBand:
    """Approximate band around a mark, on the tick grid, never below one tick.

    Recorded (mark: min, max): 0.0001: 0.0001, 0.0175. 0.0069: 0.0001, 0.0365. 0.0910: 0.0525, 0.1375.
    0.1296: 0.0945, 0.1705. 0.2168: 0.1515, 0.326. Here the upper end is off by at most 0.021, the lower by 0.015.
    """
    above = min(WIDTH_ABOVE_COIN + WIDTH_ABOVE_PER_MARK * mark_coin, WIDEST_ABOVE_COIN)
    below = min(WIDTH_BELOW_COIN + WIDTH_BELOW_PER_MARK * mark_coin, WIDEST_BELOW_COIN)
    lowest = pricing.round_price_up(max(tick_size, mark_coin - below), tick_size, tick_steps)
    highest = pricing.round_price_down(mark_coin + above, tick_size, tick_steps)
    return PriceBand(lowest, highest)
