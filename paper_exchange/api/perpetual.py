"""The perpetual future of a coin, so that clients which look for it find it: it follows the index and cannot be traded.

In: the index in USD and the time in milliseconds. Out: plain dicts with Deribit's fields. Pure.
"""

from __future__ import annotations

import zlib

from paper_exchange.api.public_rows import COIN_UUIDS, Row

NEVER_MS = 32_503_708_800_000  # Deribit's expiry of what does not expire
TICK_USD = {"BTC": 0.5, "ETH": 0.05}
LARGEST_MOVE = 0.015  # the price band around the mark


def perpetual_name(currency: str) -> str:
    """BTC-PERPETUAL."""
    return f"{currency}-PERPETUAL"


def perpetual_instrument_row(currency: str) -> Row:
    """One row of get_instruments."""
    name = perpetual_name(currency)
    return {
        "state": "open",
        "price_index": f"{currency.lower()}_usd",
        "kind": "future",
        "future_type": "reversed",
        "instrument_name": name,
        "instrument_id": zlib.crc32(name.encode()),
        "instrument_type": "reversed",
        "base_currency": currency,
        "base_currency_uuid": COIN_UUIDS[currency],
        "quote_currency": "USD",
        "counter_currency": "USD",
        "settlement_currency": currency,
        "settlement_period": "perpetual",
        "expiration_timestamp": NEVER_MS,
        "creation_timestamp": 0,
        "is_active": True,
        "contract_size": 10.0,
        "min_trade_amount": 10.0,
        "tick_size": TICK_USD[currency],
        "tick_size_steps": [],
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "max_leverage": 50,
        "underlying_type": "crypto",
    }


def perpetual_ticker_row(currency: str, index_usd: float, at_ms: int) -> Row:
    """The result of ticker and get_order_book: one tick around the index, nothing ever traded."""
    tick_usd = TICK_USD[currency]
    mid_usd = round(round(index_usd / tick_usd) * tick_usd, 2)
    return {
        "timestamp": at_ms,
        "state": "open",
        "stats": {"high": None, "low": None, "price_change": None, "volume": 0.0, "volume_usd": 0.0},
        "instrument_name": perpetual_name(currency),
        "index_price": index_usd,
        "mark_price": index_usd,
        "estimated_delivery_price": index_usd,
        "last_price": None,
        "min_price": round(mid_usd * (1.0 - LARGEST_MOVE), 2),
        "max_price": round(mid_usd * (1.0 + LARGEST_MOVE), 2),
        "open_interest": 0.0,
        "best_bid_price": mid_usd - tick_usd,
        "best_ask_price": mid_usd + tick_usd,
        "best_bid_amount": 0.0,
        "best_ask_amount": 0.0,
        "current_funding": 0.0,
        "funding_8h": 0.0,
        "interest_value": 0.0,
    }


def perpetual_summary_row(currency: str, index_usd: float, at_ms: int) -> Row:
    """One row of get_book_summary_by_currency."""
    ticker = perpetual_ticker_row(currency, index_usd, at_ms)
    bid_usd, ask_usd = ticker["best_bid_price"], ticker["best_ask_price"]
    return {
        "instrument_name": ticker["instrument_name"],
        "base_currency": currency,
        "quote_currency": "USD",
        "bid_price": bid_usd,
        "ask_price": ask_usd,
        "mid_price": (bid_usd + ask_usd) / 2.0,
        "mark_price": index_usd,
        "estimated_delivery_price": index_usd,
        "open_interest": 0.0,
        "volume": 0.0,
        "volume_usd": 0.0,
        "last": None,
        "high": None,
        "low": None,
        "price_change": None,
        "current_funding": 0.0,
        "funding_8h": 0.0,
        "creation_timestamp": at_ms,
    }
