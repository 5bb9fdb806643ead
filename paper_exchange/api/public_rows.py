"""Deribit's JSON for instruments, book summaries and tickers.

In: listings and quotes (coin, fractions). Out: plain dicts with Deribit's fields and units (coin, percent, ms), as
recorded on mainnet and testnet in 2025 and 2026. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from core import pricing
from paper_exchange.market.bands import band_of
from paper_exchange.market.market import Listing, Quote
from paper_exchange.shown import quotes

Row = dict[str, Any]

# Deribit's own identifiers of the coins, from recorded get_instruments.
COIN_UUIDS = {
    "BTC": "5b71fc48-3dd3-540c-809b-f8c94d0e68b5",
    "ETH": "d85dce9b-5b73-5c3c-8978-522ce1d1c1b4",
}
BLOCK_TRADE_MINIMUM = {"BTC": 25, "ETH": 250}
IV_SEARCH_FRACTION = (0.005, 10.0)
IV_SEARCH_STEPS = 40


def instrument_row(listing: Listing, at_ms: int) -> Row:
    """One row of get_instruments; an expired option is archived, in Deribit's spelling."""
    is_live = listing.expires_at_ms > at_ms
    coin = listing.currency
    return {
        "state": "open" if is_live else "archivized",
        "price_index": f"{coin.lower()}_usd",
        "kind": "option",
        "instrument_name": listing.name,
        "instrument_id": zlib.crc32(listing.name.encode()),
        "instrument_type": "reversed",
        "base_currency": coin,
        "base_currency_uuid": COIN_UUIDS[coin],
        "quote_currency": coin,
        "quote_currency_uuid": COIN_UUIDS[coin],
        "counter_currency": "USD",
        "settlement_currency": coin,
        "settlement_period": listing.settlement_period,
        "option_type": "call" if listing.is_call else "put",
        "strike": listing.strike_usd,
        "expiration_timestamp": listing.expires_at_ms,
        "creation_timestamp": listing.created_at_ms,
        "is_active": is_live,
        "contract_size": 1.0,
        "lot_size": 1.0,
        "min_trade_amount": listing.min_trade_amount,
        "tick_size": listing.tick_size,
        "tick_size_steps": [{"above_price": above, "tick_size": tick} for above, tick in listing.tick_steps],
        "maker_commission": pricing.TRADE_FEE_COIN,
        "taker_commission": pricing.TRADE_FEE_COIN,
        "block_trade_commission": pricing.TRADE_FEE_COIN,
        "block_trade_min_trade_amount": BLOCK_TRADE_MINIMUM[coin],
        "block_trade_tick_size": listing.tick_size,
        "underlying_type": "crypto",
    }


def summary_rows(chain: Sequence[Quote], currency: str, index_usd: float) -> list[Row]:
    """Rows of get_book_summary_by_currency: volatility in percent, null for an empty side."""
    return [_summary_row(quote, currency, index_usd) for quote in chain]


def _summary_row(quote: Quote, currency: str, index_usd: float) -> Row:
    bid, ask = quote.bid_coin, quote.ask_coin
    return {
        "instrument_name": quote.name,
        "base_currency": currency,
        "quote_currency": currency,
        "bid_price": bid,
        "ask_price": ask,
        "mid_price": None if bid is None or ask is None else round((bid + ask) / 2.0, 8),
        "mark_price": quote.mark_coin,
        "mark_iv": quotes.mark_iv_pct(quote.mark_iv_fraction),
        "underlying_price": quote.underlying_price_usd,
        "underlying_index": quote.underlying_index,
        "interest_rate": 0.0,
        "estimated_delivery_price": index_usd,
        "open_interest": quote.open_interest,
        "volume": quote.volume,
        "volume_usd": round(quote.volume * quote.mark_coin * index_usd, 2),
        "last": quote.last_coin,
        "high": None,
        "low": None,
        "price_change": None,
        "creation_timestamp": quote.timestamp_ms,
    }


def ticker_row(listing: Listing, quote: Quote, index_usd: float) -> Row:
    """The result of ticker. An empty side is 0.0, as recorded; an amount nobody recorded is null."""
    band = band_of(listing, quote)
    return {
        "timestamp": quote.timestamp_ms,
        "state": "open",
        "stats": _stats(quote, index_usd),
        "greeks": quotes.greeks(listing, quote),
        "index_price": index_usd,
        "instrument_name": quote.name,
        "last_price": quote.last_coin,
        "min_price": band.min_price_coin,
        "max_price": band.max_price_coin,
        "open_interest": quote.open_interest,
        "mark_price": quotes.ticker_mark_coin(quote),
        "interest_rate": 0.0,
        "estimated_delivery_price": index_usd,
        "best_bid_price": quote.bid_coin if quote.bid_coin is not None else 0.0,
        "best_ask_price": quote.ask_coin if quote.ask_coin is not None else 0.0,
        "best_bid_amount": quote.bid_amount if quote.bid_coin is not None else 0.0,
        "best_ask_amount": quote.ask_amount if quote.ask_coin is not None else 0.0,
        "mark_iv": quotes.mark_iv_pct(quote.mark_iv_fraction),
        "bid_iv": _iv_pct(listing, quote, quote.bid_coin),
        "ask_iv": _iv_pct(listing, quote, quote.ask_coin),
        "underlying_price": quote.underlying_price_usd,
        "underlying_index": quote.underlying_index,
    }


def _stats(quote: Quote, index_usd: float) -> Row:
    volume_usd = round(quote.volume * quote.mark_coin * index_usd, 2)
    return {"high": None, "low": None, "price_change": None, "volume": quote.volume, "volume_usd": volume_usd}


def _iv_pct(listing: Listing, quote: Quote, price_coin: float | None) -> float:
    """Volatility at which Black-76 gives a price, by bisection; 0.0 where there is no such volatility."""
    years = quotes.years_left(listing, quote)
    if price_coin is None or years <= 0.0:
        return 0.0

    def price_at(iv: float) -> float:
        return pricing.black76_price_coin(quote.underlying_price_usd, listing.strike_usd, iv, years, listing.is_call)

    low, high = IV_SEARCH_FRACTION
    if not price_at(low) < price_coin < price_at(high):
        return 0.0
    for _ in range(IV_SEARCH_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if price_at(middle) < price_coin else (low, middle)
    return round(100.0 * high, 2)


def order_book_row(listing: Listing, quote: Quote, index_usd: float) -> Row:
    """The result of get_order_book: the ticker and the one level a side that the market knows."""
    bids = [] if quote.bid_coin is None else [[quote.bid_coin, quote.bid_amount]]
    asks = [] if quote.ask_coin is None else [[quote.ask_coin, quote.ask_amount]]
    levels = {"bids": bids, "asks": asks, "change_id": quote.timestamp_ms}
    return ticker_row(listing, quote, index_usd) | levels
