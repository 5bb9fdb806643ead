"""The numbers of a quote as the exchange shows them: rounded as Deribit rounds them.

In: listings and quotes (coin, fractions). Out: coin, percent, greeks. The JSON API and the client in this process
both read them here, so that neither rounds in its own way. Pure.
"""

from __future__ import annotations

from core import pricing
from core.columns import Number, rounded
from paper_exchange.market.clocks import YEAR_MS
from paper_exchange.market.market import Listing, Quote


def mark_iv_pct(mark_iv_fraction: Number) -> Number:
    """Volatility of a mark, or of all marks of a chain, in percent, two decimals."""
    return rounded(100.0 * mark_iv_fraction, 2)


def ticker_mark_coin(quote: Quote) -> float:
    """A ticker's mark has four decimals; a chain shows it in full."""
    return round(quote.mark_coin, 4)


def years_left(listing: Listing, quote: Quote) -> float:
    """From the quote to the expiry."""
    return (listing.expires_at_ms - quote.timestamp_ms) / YEAR_MS


def greeks(listing: Listing, quote: Quote) -> dict[str, float]:
    """By name, five decimals each."""
    exact = pricing.black76_greeks(*_priced(listing, quote))
    return {name: round(value, 5) for name, value in exact._asdict().items()}


def delta(listing: Listing, quote: Quote) -> float:
    """The first of them alone."""
    return round(pricing.black76_delta(*_priced(listing, quote)), 5)


def _priced(listing: Listing, quote: Quote) -> tuple[float, float, float, float, bool]:
    """What the formulas of an option take, in their order."""
    years = years_left(listing, quote)
    return quote.underlying_price_usd, listing.strike_usd, quote.mark_iv_fraction, years, listing.is_call
