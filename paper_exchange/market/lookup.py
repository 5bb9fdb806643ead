"""Looking up what a market shows, in the exchange's terms: what is live, what is not found, what is cut.

In: a market, names and spans (milliseconds). Out: listings, quotes, the index (USD), candles; RpcError where Deribit
would refuse. The JSON API and the client in this process both ask here. Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from paper_exchange.market.clocks import MINUTE_MS, now_ms
from paper_exchange.market.errors import invalid_params, not_found, temporarily_unavailable
from paper_exchange.market.market import Bar, Listing, Market, Quote
from paper_exchange.market.names import is_instrument_name

CHART_ROWS_MAX = 5_001  # Deribit cuts longer charts without a word
VOLATILITY_ROWS_MAX = 1_000
# Length and minutes between points by range; only the hourly points of "1m" are documented.
INDEX_CHART_RANGES = {"1h": (60, 1), "1d": (1_440, 5), "2d": (2_880, 10), "1m": (43_200, 60), "1y": (525_600, 1_440)}
INDEX_CHART_RANGES["all"] = (3_650 * 1_440, 1_440)


def live_listings(market: Market, currency: str) -> list[Listing]:
    """Options of a currency before their expiry."""
    at_ms = now_ms(market.clock)
    return [listing for listing in market.listings(currency) if listing.expires_at_ms > at_ms]


def known_listing(market: Market, name: str) -> Listing:
    """An option, live or expired: 'wrong format' for nonsense, 13020 for what the market does not know."""
    if not is_instrument_name(name):
        raise invalid_params("instrument_name", "wrong format")
    listing = market.listing(name)
    if listing is None:
        raise not_found()
    return listing


def live_listing(market: Market, name: str) -> Listing:
    """A live option; one that has expired is not found."""
    listing = known_listing(market, name)
    if listing.expires_at_ms <= now_ms(market.clock):
        raise not_found()
    return listing


def quoted(market: Market, name: str) -> tuple[Listing, Quote, float]:
    """A live option, its last quote and the index."""
    listing = live_listing(market, name)
    quote = market.quote(listing.name)
    if quote is None:
        raise not_found()
    return listing, quote, index_of(market, listing.currency)


def index_of(market: Market, currency: str) -> float:
    """Index in USD: 13028 where the source has not shown one yet."""
    index_usd = market.index_price(currency)
    if index_usd is None:
        raise temporarily_unavailable()
    return index_usd


def chart_bars(market: Market, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
    """Candles of the index as one reply holds them: the newest CHART_ROWS_MAX."""
    newest_ms = min(end_ms, now_ms(market.clock))
    start_ms = max(start_ms, newest_ms - (CHART_ROWS_MAX - 1) * minutes * MINUTE_MS)
    return market.index_bars(currency, start_ms, end_ms, minutes)


def index_levels(market: Market, currency: str, reach: str, known_until_ms: int = 0) -> list[tuple[int, float]]:
    """Points (ms, USD) of the index over one of INDEX_CHART_RANGES: its level at the end of each full interval.

    `known_until_ms`: those up to then are left out.
    """
    length, minutes = INDEX_CHART_RANGES[reach]
    at_ms, width_ms = now_ms(market.clock), minutes * MINUTE_MS
    start_ms = max(at_ms - length * MINUTE_MS, known_until_ms - width_ms + 1)
    bars = market.index_bars(currency, start_ms, at_ms - width_ms, minutes)
    return [(bar.opened_at_ms + width_ms, bar.close) for bar in bars]


def first_level_ms(market: Market, reach: str) -> int:
    """No point of such a range is earlier."""
    length, minutes = INDEX_CHART_RANGES[reach]
    return now_ms(market.clock) - (length - minutes) * MINUTE_MS


def volatility_bars(market: Market, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
    """Candles of DVOL as one reply holds them: the newest VOLATILITY_ROWS_MAX up to now."""
    end_ms = min(end_ms, now_ms(market.clock))
    start_ms = max(start_ms, first_volatility_open_ms(end_ms, seconds))
    return market.volatility_index_bars(currency, start_ms, end_ms, seconds)


def first_volatility_open_ms(end_ms: int, seconds: int) -> int:
    """When the oldest candle of a full reply opened."""
    newest_open_ms = end_ms // (1000 * seconds) * 1000 * seconds
    return newest_open_ms - (VOLATILITY_ROWS_MAX - 1) * 1000 * seconds
