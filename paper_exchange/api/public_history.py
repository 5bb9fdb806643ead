"""Public calls about the past: candles, DVOL, realised volatility, delivery prices.

In: a market and the parameters of a call. Out: Deribit's JSON (USD, percent, ms). Talks to nothing but the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paper_exchange.api.public_params import Params, choice_of, coin_of_index, currency_of, integer_of, text_of
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, from_ms, now_ms
from paper_exchange.market.errors import invalid_params, not_found
from paper_exchange.market.market import Bar, Market
from paper_exchange.market.names import EXPIRY_HOUR_UTC, is_instrument_name

CHART_MINUTES = {str(m): m for m in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)} | {"1D": 1440}
VOLATILITY_INDEX_SECONDS = {"1": 1, "60": 60, "3600": 3600, "43200": 43_200, "1D": 86_400}
BARS_PER_REPLY = 1000
DELIVERY_PRICES_MAX = 1000
HISTORICAL_VOLATILITY_HOURS = 16 * 24
VOLATILITY_WINDOW_HOURS = 15 * 24
HOURS_PER_YEAR = 365 * 24


def volatility_index_data(market: Market, params: Params) -> dict[str, Any]:
    """Candles of DVOL in percent, the newest 1,000; `continuation` is the end of the next older page."""
    currency = currency_of(params)
    seconds = choice_of(params, "resolution", VOLATILITY_INDEX_SECONDS)
    start_ms, end_ms = _span(params)
    end_ms = min(end_ms, now_ms(market.clock))
    newest_open_ms = end_ms // (1000 * seconds) * 1000 * seconds
    page_start_ms = max(start_ms, newest_open_ms - (BARS_PER_REPLY - 1) * 1000 * seconds)
    bars = market.volatility_index_bars(currency, page_start_ms, end_ms, seconds)
    has_more = page_start_ms > start_ms and len(bars) == BARS_PER_REPLY
    rows = [[bar.opened_at_ms, bar.open, bar.high, bar.low, bar.close] for bar in bars]
    return {"data": rows, "continuation": rows[0][0] - 1 if has_more else None}


def chart_data(market: Market, params: Params) -> dict[str, Any]:
    """Candles of a perpetual, which here follows the index exactly. Options have no trades, so no candles."""
    name = text_of(params, "instrument_name")
    minutes = choice_of(params, "resolution", CHART_MINUTES)
    start_ms, end_ms = _span(params)
    currency = name.removesuffix("-PERPETUAL")
    if currency in market.currencies and name != currency:
        return _chart(market.index_bars(currency, start_ms, end_ms, minutes))
    if not is_instrument_name(name):
        raise invalid_params("instrument_name", "wrong format")
    if market.listing(name) is None:
        raise not_found()
    return _chart([])


def _span(params: Params) -> tuple[int, int]:
    return integer_of(params, "start_timestamp"), integer_of(params, "end_timestamp")


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
    currency = currency_of(params)
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
    currency = coin_of_index(params)
    offset = max(0, integer_of(params, "offset", 0))
    count = min(max(0, integer_of(params, "count", 10)), DELIVERY_PRICES_MAX)
    known = _known_delivery_prices(market, currency)
    return {"data": known[offset : offset + count], "records_total": len(known)}


def _known_delivery_prices(market: Market, currency: str) -> list[dict[str, Any]]:
    shift_ms = EXPIRY_HOUR_UTC * HOUR_MS
    latest_ms = (now_ms(market.clock) - shift_ms) // DAY_MS * DAY_MS + shift_ms
    rows: list[dict[str, Any]] = []
    for day in range(DELIVERY_PRICES_MAX):
        expires_at_ms = latest_ms - day * DAY_MS
        found = market.delivery_price(currency, expires_at_ms)
        if found is None:
            break
        rows.append({"date": f"{from_ms(expires_at_ms):%Y-%m-%d}", "delivery_price": found.price_usd})
    return rows
