"""Public calls about the past: candles, DVOL, realised volatility, delivery prices.

In: a market and the parameters of a call. Out: Deribit's JSON (USD, percent, ms). Talks to nothing but the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import pricing
from paper_exchange.api import params as read
from paper_exchange.api.params import Params
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, from_ms, now_ms
from paper_exchange.market.errors import invalid_params, not_found
from paper_exchange.market.lookup import (
    INDEX_CHART_RANGES,
    VOLATILITY_ROWS_MAX,
    chart_bars,
    first_volatility_open_ms,
    index_levels,
    volatility_bars,
)
from paper_exchange.market.market import Bar, Market
from paper_exchange.market.names import EXPIRY_HOUR_UTC, expiry_code, is_instrument_name

CHART_MINUTES = {str(m): m for m in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)} | {"1D": 1440}
VOLATILITY_INDEX_SECONDS = {"1": 1, "60": 60, "3600": 3600, "43200": 43_200, "1D": 86_400}
DELIVERY_PRICES_MAX = 1000
SETTLEMENT_KINDS = ("any", "settlement", "delivery", "bankruptcy")
HISTORICAL_VOLATILITY_HOURS = 16 * 24
VOLATILITY_WINDOW_HOURS = 15 * 24
HOURS_PER_YEAR = 365 * 24


def volatility_index_data(market: Market, params: Params) -> dict[str, Any]:
    """Candles of DVOL in percent, the newest 1,000; `continuation` is the end of the next older page."""
    currency = read.currency(params)
    seconds = read.meaning(params, "resolution", VOLATILITY_INDEX_SECONDS)
    start_ms, end_ms = _span(params)
    bars = volatility_bars(market, currency, start_ms, end_ms, seconds)
    is_cut = first_volatility_open_ms(min(end_ms, now_ms(market.clock)), seconds) > start_ms
    has_more = is_cut and len(bars) == VOLATILITY_ROWS_MAX
    rows = [[bar.opened_at_ms, bar.open, bar.high, bar.low, bar.close] for bar in bars]
    return {"data": rows, "continuation": rows[0][0] - 1 if has_more else None}


def chart_data(market: Market, params: Params) -> dict[str, Any]:
    """Candles of a perpetual, which here follows the index exactly. Options have no trades, so no candles."""
    name = read.text(params, "instrument_name")
    minutes = read.meaning(params, "resolution", CHART_MINUTES)
    start_ms, end_ms = _span(params)
    currency = name.removesuffix("-PERPETUAL")
    if currency in market.currencies and name != currency:
        return _chart(chart_bars(market, currency, start_ms, end_ms, minutes))
    if not is_instrument_name(name):
        raise invalid_params("instrument_name", "wrong format")
    if market.listing(name) is None:
        raise not_found()
    return _chart([])


def index_chart_data(market: Market, params: Params) -> list[list[float]]:
    """Points (ms, USD) of the index over a range that ends now: its level at the end of each full interval."""
    currency = read.coin_of_index(params)
    chosen = read.choice(params, "range", tuple(INDEX_CHART_RANGES), "")
    if chosen == "":
        raise invalid_params("range", "value required")
    return [[at_ms, level_usd] for at_ms, level_usd in index_levels(market, currency, chosen)]


def _span(params: Params) -> tuple[int, int]:
    return read.whole(params, "start_timestamp"), read.whole(params, "end_timestamp")


def _chart(bars: Sequence[Bar]) -> dict[str, Any]:
    return {
        "status": "ok" if len(bars) > 0 else "no_data",
        "ticks": [bar.opened_at_ms for bar in bars],
        "open": [bar.open for bar in bars],
        "high": [bar.high for bar in bars],
        "low": [bar.low for bar in bars],
        "close": [bar.close for bar in bars],
        "volume": [bar.volume for bar in bars],
        "cost": [round(bar.volume * bar.close, 2) for bar in bars],
    }


def historical_volatility(market: Market, params: Params) -> list[list[float]]:
    """Annualised volatility of hourly returns over the 15 days before each of the last hours, in percent."""
    currency = read.currency(params)
    at_ms = now_ms(market.clock)
    hours = HISTORICAL_VOLATILITY_HOURS + VOLATILITY_WINDOW_HOURS + 1
    bars = market.index_bars(currency, at_ms - hours * HOUR_MS, at_ms - HOUR_MS, 60)
    if len(bars) <= VOLATILITY_WINDOW_HOURS:
        return []
    returns = np.diff(np.log([bar.close for bar in bars]))
    windows = np.lib.stride_tricks.sliding_window_view(returns, VOLATILITY_WINDOW_HOURS)
    pct = 100.0 * windows.std(axis=1) * np.sqrt(HOURS_PER_YEAR)
    ends_ms = [bar.opened_at_ms + HOUR_MS for bar in bars[VOLATILITY_WINDOW_HOURS:]]
    return [[at, value] for at, value in zip(ends_ms, pct.tolist(), strict=True)]


def delivery_prices(market: Market, params: Params) -> dict[str, Any]:
    """Daily settlement prices, newest first, as far back as the market knows them."""
    currency = read.coin_of_index(params)
    offset = max(0, read.whole(params, "offset", 0))
    count = min(max(0, read.whole(params, "count", 10)), DELIVERY_PRICES_MAX)
    known = _known_delivery_prices(market, currency)
    rows = [
        {"date": f"{from_ms(day['at_ms']):%Y-%m-%d}", "delivery_price": day["delivery_price"]}
        for day in known[offset : offset + count]
    ]
    return {"data": rows, "records_total": len(known)}


def _known_delivery_prices(market: Market, currency: str) -> list[dict[str, Any]]:
    shift_ms = EXPIRY_HOUR_UTC * HOUR_MS
    latest_ms = (now_ms(market.clock) - shift_ms) // DAY_MS * DAY_MS + shift_ms
    rows: list[dict[str, Any]] = []
    for day in range(DELIVERY_PRICES_MAX):
        expires_at_ms = latest_ms - day * DAY_MS
        found = market.delivery_price(currency, expires_at_ms)
        if found is None:
            break
        rows.append({"at_ms": expires_at_ms, "delivery_price": found.price_usd})
    return rows


def settlements_by_currency(market: Market, params: Params) -> dict[str, Any]:
    """What 08:00 UTC brought, newest first: the perpetual's settlement and the delivery of that day's future."""
    currency = read.currency(params)
    kind = read.choice(params, "type", SETTLEMENT_KINDS, "any")
    known = _known_delivery_prices(market, currency)
    rows = [row for day in known for row in _settlement_rows(currency, day) if kind in ("any", row["type"])]
    return _settlement_page(rows, params)


def settlements_by_instrument(market: Market, params: Params) -> dict[str, Any]:
    """Of the perpetual each 08:00 UTC; of an option its delivery, once it has expired."""
    name = read.text(params, "instrument_name")
    currency = name.removesuffix("-PERPETUAL")
    if currency != name and currency in market.currencies:
        known = _known_delivery_prices(market, currency)
        return _settlement_page([_settlement_rows(currency, day)[0] for day in known], params)
    listing = market.listing(name)
    if listing is None:
        raise not_found() if is_instrument_name(name) else invalid_params("instrument_name", "wrong format")
    price = market.delivery_price(listing.currency, listing.expires_at_ms)
    if price is None:
        return _settlement_page([], params)
    payoff_coin = pricing.payoff_coin(price.price_usd, listing.strike_usd, listing.is_call)
    return _settlement_page(
        [_settlement_row("delivery", name, listing.expires_at_ms, payoff_coin, price.price_usd)], params
    )


def _settlement_rows(currency: str, day: dict[str, Any]) -> list[dict[str, Any]]:
    at_ms, price_usd = day["at_ms"], day["delivery_price"]
    return [
        _settlement_row("settlement", f"{currency}-PERPETUAL", at_ms, price_usd, price_usd),
        _settlement_row("delivery", f"{currency}-{expiry_code(at_ms)}", at_ms, price_usd, price_usd),
    ]


def _settlement_row(kind: str, name: str, at_ms: int, mark_price: float, index_usd: float) -> dict[str, Any]:
    return {
        "type": kind,
        "timestamp": at_ms,
        "instrument_name": name,
        "position": 0.0,
        "mark_price": mark_price,
        "index_price": index_usd,
        "profit_loss": 0.0,
        "session_profit_loss": 0.0,
    }


def _settlement_page(rows: list[dict[str, Any]], params: Params) -> dict[str, Any]:
    return {"settlements": rows[: read.count(params, 20, 1_000)], "continuation": "none"}
