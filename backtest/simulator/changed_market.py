"""Any market with other quotes: volatility and spreads times a factor, the index as it is.

In: a market, a QuoteChange. Out: the Market protocol (coin, USD, fractions, ms). Marks move by Black-76, bid and ask
with them; sides lie on the tick grid, the bid rounded down and the ask up. Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.pricing import black76_price_coin, round_price_down, round_price_up
from paper_exchange.market.clocks import YEAR_MS
from paper_exchange.market.market import Bar, DeliveryPrice, Listing, Market, Quote


@dataclass(frozen=True)
class QuoteChange:
    """Factors; 1 changes nothing."""

    iv_factor: float = 1.0
    spread_factor: float = 1.0


class ChangedMarket:
    """The market behind it, asked anew each time."""

    def __init__(self, market: Market, change: QuoteChange) -> None:
        self.kind, self.clock, self.currencies = market.kind, market.clock, market.currencies
        self._market, self._change = market, change

    def index_price(self, currency: str) -> float | None:
        return self._market.index_price(currency)

    def listings(self, currency: str) -> Sequence[Listing]:
        return self._market.listings(currency)

    def listing(self, name: str) -> Listing | None:
        return self._market.listing(name)

    def quotes(self, currency: str) -> Sequence[Quote]:
        listings = {listing.name: listing for listing in self._market.listings(currency)}
        shown = self._market.quotes(currency)
        return [changed(quote, listings[quote.name], self._change) for quote in shown if quote.name in listings]

    def quote(self, name: str) -> Quote | None:
        quote, listing = self._market.quote(name), self._market.listing(name)
        return None if quote is None or listing is None else changed(quote, listing, self._change)

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        return self._market.delivery_price(currency, expires_at_ms)

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        return self._market.index_bars(currency, start_ms, end_ms, minutes)

    def volatility_index_bars(self, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
        return self._market.volatility_index_bars(currency, start_ms, end_ms, seconds)


def changed(quote: Quote, listing: Listing, change: QuoteChange) -> Quote:
    """One quote; a side that nobody shows stays empty."""
    years = (listing.expires_at_ms - quote.timestamp_ms) / YEAR_MS
    about = (quote.underlying_price_usd, listing.strike_usd)
    iv_fraction = quote.mark_iv_fraction * change.iv_factor
    before = black76_price_coin(*about, quote.mark_iv_fraction, years, listing.is_call)
    move = black76_price_coin(*about, iv_fraction, years, listing.is_call) - before
    bid, ask = quote.bid_coin, quote.ask_coin
    if bid is not None and ask is not None:
        wider = 0.5 * (change.spread_factor - 1.0) * (ask - bid)
        bid, ask = bid - wider, ask + wider
    grid = (listing.tick_size, listing.tick_steps)
    return replace(
        quote,
        mark_coin=max(0.0, quote.mark_coin + move),
        mark_iv_fraction=iv_fraction,
        bid_coin=None if bid is None else _above_zero(round_price_down(bid + move, *grid)),
        ask_coin=None if ask is None else _above_zero(round_price_up(ask + move, *grid)),
        min_price_coin=None,
        max_price_coin=None,
    )


def _above_zero(price_coin: float) -> float | None:
    return price_coin if price_coin > 0.0 else None
