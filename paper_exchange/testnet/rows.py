"""Single rows of Deribit's replies, read leniently: instruments, quotes, delivery prices.

In: one row of JSON, possibly garbage. Out: a record of `market/market.py` in coin, USD, fractions and milliseconds, or
None. Shares nothing with the agent's own client, so that both cannot be wrong together. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from paper_exchange.market.clocks import to_ms
from paper_exchange.market.market import MIN_TRADE_AMOUNT, TICK_SIZE, TICK_STEPS, Listing, Quote
from paper_exchange.market.names import EXPIRY_HOUR_UTC, parse_option_name

Row = Mapping[str, Any]


def rows_of(result: Any) -> list[Row]:
    """The rows of a list, or a single row."""
    found = result if isinstance(result, list) else [result]
    return [row for row in found if isinstance(row, dict)]


def number(row: Row, name: str) -> float | None:
    """A finite number, None for anything else."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return None
    return float(value) if math.isfinite(value) else None


def listing_of_row(row: Row) -> Listing | None:
    """An inverse option; None for every other instrument."""
    name = row.get("instrument_name")
    parts = parse_option_name(name) if isinstance(name, str) else None
    if parts is None or not isinstance(name, str):
        return None
    expires_at_ms = number(row, "expiration_timestamp")
    min_trade_amount, tick_size = number(row, "min_trade_amount"), number(row, "tick_size")
    return Listing(
        name=name,
        currency=parts.currency,
        strike_usd=parts.strike_usd,
        expires_at_ms=parts.expires_at_ms if expires_at_ms is None else int(expires_at_ms),
        is_call=parts.is_call,
        created_at_ms=int(number(row, "creation_timestamp") or 0),
        settlement_period=str(row.get("settlement_period", "day")),
        min_trade_amount=MIN_TRADE_AMOUNT[parts.currency] if min_trade_amount is None else min_trade_amount,
        tick_size=TICK_SIZE if tick_size is None else tick_size,
        tick_steps=_tick_steps(row),
    )


def quote_of_row(row: Row, seen_at_ms: int) -> Quote | None:
    """A ticker, an order book or a row of a book summary; None without a name and a mark.

    Deribit writes an empty side as null or as 0.
    """
    name, mark_coin = row.get("instrument_name"), number(row, "mark_price")
    iv_pct, underlying_usd = number(row, "mark_iv"), _positive(row, "underlying_price")
    if not isinstance(name, str) or parse_option_name(name) is None:
        return None
    if mark_coin is None or iv_pct is None or underlying_usd is None:
        return None
    bid_coin, ask_coin = _shown_sides(row)
    timestamp_ms = _positive(row, "timestamp", "creation_timestamp")
    return Quote(
        name=name,
        bid_coin=bid_coin,
        ask_coin=ask_coin,
        bid_amount=_positive(row, "best_bid_amount"),
        ask_amount=_positive(row, "best_ask_amount"),
        mark_coin=max(0.0, mark_coin),
        mark_iv_fraction=max(0.0, iv_pct / 100.0),
        underlying_price_usd=underlying_usd,
        underlying_index=str(row.get("underlying_index", "")),
        timestamp_ms=seen_at_ms if timestamp_ms is None else int(timestamp_ms),
        open_interest=_positive(row, "open_interest") or 0.0,
        volume=_positive(row, "volume") or 0.0,
        last_coin=_positive(row, "last_price", "last"),
        min_price_coin=_positive(row, "min_price"),
        max_price_coin=_positive(row, "max_price"),
    )


def _shown_sides(row: Row) -> tuple[float | None, float | None]:
    """Best bid and ask; neither where trading is paused or the book is crossed."""
    bid_coin = _positive(row, "best_bid_price", "bid_price")
    ask_coin = _positive(row, "best_ask_price", "ask_price")
    is_crossed = bid_coin is not None and ask_coin is not None and bid_coin > ask_coin
    if is_crossed or row.get("state", "open") != "open":
        return None, None
    return bid_coin, ask_coin


def delivery_of_row(row: Row) -> tuple[int, float] | None:
    """Expiry in milliseconds and price in USD, from a date such as 2026-07-24."""
    price_usd, date = _positive(row, "delivery_price"), row.get("date")
    if price_usd is None or not isinstance(date, str):
        return None
    try:
        day = datetime.strptime(date, "%Y-%m-%d").replace(hour=EXPIRY_HOUR_UTC, tzinfo=UTC)
    except ValueError:
        return None
    return to_ms(day), price_usd


def _positive(row: Row, *names: str) -> float | None:
    """The first of these fields that is a number above zero."""
    values = (number(row, name) for name in names)
    return next((value for value in values if value is not None and value > 0.0), None)


def _tick_steps(row: Row) -> tuple[tuple[float, float], ...]:
    if not isinstance(row.get("tick_size_steps"), list):
        return TICK_STEPS
    pairs = ((number(step, "above_price"), number(step, "tick_size")) for step in rows_of(row["tick_size_steps"]))
    return tuple((above, tick) for above, tick in pairs if above is not None and tick is not None)
