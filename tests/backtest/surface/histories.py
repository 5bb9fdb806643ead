"""Histories and historical markets for tests: a winding index, DVOL that moves with it, nothing from disk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from backtest.historical.files import HistoryData
from backtest.historical.market import HistoricalClock, HistoricalMarket
from backtest.surface.coefficients import read_surfaces
from backtest.surface.correction import Corrections
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, to_ms
from paper_exchange.market.market import Bar

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)  # far enough in for the slow means
DAYS = 110
INDEX_USD = {"BTC": 80_000.0, "ETH": 2_500.0}


def a_history(days: int = DAYS, hourly_dvol: bool = True, coins: tuple[str, ...] = ("BTC", "ETH")) -> HistoryData:
    """Hourly candles and daily DVOL from FIRST_DAY on; every hour and day differs from the others."""
    candles = {coin: [_candle(coin, hour) for hour in range(24 * days)] for coin in coins}
    dvol = {(coin, DAY_MS): [_dvol(24 * day + 23, 24 * day, DAY_MS) for day in range(days)] for coin in coins}
    if hourly_dvol:
        dvol |= {(coin, HOUR_MS): [_dvol(hour, hour, HOUR_MS) for hour in range(24 * days)] for coin in coins}
    return HistoryData(candles, dvol)


def a_market(
    data: HistoryData | None = None,
    start: datetime = START,
    seed: int = 1,
    corrections: Mapping[str, Corrections] | None = None,
) -> HistoricalMarket:
    return HistoricalMarket(data or a_history(), HistoricalClock(start), read_surfaces(), seed, corrections)


def ms(moment: datetime, **later: float) -> int:
    return to_ms(moment + timedelta(**later))


def _candle(coin: str, hour: int) -> Bar:
    opened, closed = _index(coin, hour), _index(coin, hour + 1)
    return Bar(_hour_ms(hour), opened, 1.003 * max(opened, closed), 0.997 * min(opened, closed), closed, 1.0)


def _index(coin: str, hour: int) -> float:
    return INDEX_USD[coin] * math.exp(0.06 * math.sin(hour / 190.0) + 0.01 * math.sin(hour / 7.0))


def _dvol(known_hour: int, opened_hour: int, width_ms: int) -> Bar:
    pct = 50.0 + 8.0 * math.sin(known_hour / 150.0) + math.sin(known_hour / 5.0)
    assert width_ms in (HOUR_MS, DAY_MS)
    return Bar(_hour_ms(opened_hour), pct, pct, pct, pct)


def _hour_ms(hour: int) -> int:
    return to_ms(FIRST_DAY) + hour * HOUR_MS
