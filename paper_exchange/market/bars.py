"""Candles from smaller candles or from single prices.

In: bars or (time, price) points, oldest first. Out: bars on a grid that starts at midnight UTC, as Deribit aligns
them. Times in milliseconds, prices in whatever unit comes in. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np

from core.columns import Floats, Integers
from paper_exchange.market.market import Bar


def group_bars(bars: Iterable[Bar], width_ms: int) -> list[Bar]:
    """Bars of the given width; a bar exists only where there is something to put in it."""
    groups = groupby(bars, key=lambda bar: bar.opened_at_ms // width_ms * width_ms)
    return [_joined(opened_at_ms, list(members)) for opened_at_ms, members in groups]


def bars_of_stretches(opens_ms: Integers, opened: Floats, closed: Floats, each: int) -> list[Bar]:
    """Bars of so many stretches each, in which a price went straight from one to another; the last one of fewer."""
    begins = np.arange(0, len(opens_ms), each)
    highs = np.maximum.reduceat(np.maximum(opened, closed), begins)
    lows = np.minimum.reduceat(np.minimum(opened, closed), begins)
    last = np.minimum(begins + each, len(opens_ms)) - 1
    columns = (opens_ms[begins], opened[begins], highs, lows, closed[last])
    return [Bar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def point(at_ms: int, price: float) -> Bar:
    """A single price as the smallest possible bar."""
    return Bar(at_ms, price, price, price, price)


def opened_at(bar: Bar) -> int:
    """To look a bar up by."""
    return bar.opened_at_ms


def _joined(opened_at_ms: int, members: list[Bar]) -> Bar:
    return Bar(
        opened_at_ms=opened_at_ms,
        open=members[0].open,
        high=max(bar.high for bar in members),
        low=min(bar.low for bar in members),
        close=members[-1].close,
        volume=sum(bar.volume for bar in members),
    )
