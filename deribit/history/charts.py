"""What Deribit's charts of past prices mean: candles of a perpetual, levels of an index.

In: the result of a reply. Out: PriceBars in USD, oldest first, each with the time of its close. A chart that is not
what Deribit documents raises InvalidReplyError. Pure: no network, no disk, no clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from deribit.replies import Row, finite, utc_from_ms
from models import InvalidReplyError, PriceBar


def read_bars(row: Row, width: timedelta, now: datetime) -> tuple[PriceBar, ...]:
    """Closes of candles; that of the running one is the price now. Empty where the exchange has none."""
    if row.get("status") == "no_data":
        return ()
    opened, closes = row.need("ticks"), row.need("close")
    if len(opened) != len(closes):
        raise InvalidReplyError("a chart's ticks and closes differ in number")
    ends = (min(utc_from_ms(at) + width, now) for at in opened)
    return tuple(PriceBar(end, finite(close)) for end, close in zip(ends, closes, strict=True))


def read_index_levels(result: object) -> tuple[PriceBar, ...]:
    """Points (ms, USD) of an index; their spacing is the exchange's choice and follows from their times."""
    if not isinstance(result, list) or not all(isinstance(point, list) and len(point) == 2 for point in result):
        raise InvalidReplyError("pairs of time and price were expected in the reply")
    return tuple(sorted(PriceBar(utc_from_ms(at), finite(price)) for at, price in result))


def read_dvol_days(result: object, now: datetime) -> tuple[PriceBar, ...]:
    """Daily candles of a volatility index (ms, open, high, low, close in percent) as closes in fractions."""
    candles = Row(result).need("data")
    if not isinstance(candles, list) or not all(isinstance(candle, list) and len(candle) >= 5 for candle in candles):
        raise InvalidReplyError("rows of time, open, high, low and close were expected in the reply")
    ends = (min(utc_from_ms(candle[0]) + timedelta(days=1), now) for candle in candles)
    return tuple(sorted(PriceBar(end, finite(candle[4]) / 100.0) for end, candle in zip(ends, candles, strict=True)))
