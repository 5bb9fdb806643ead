"""Candles from smaller candles or from single prices.

In: bars or (time, price) points, oldest first. Out: bars on a grid that starts at midnight UTC, as Deribit aligns
them. Times in milliseconds, prices in whatever unit comes in. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from paper_exchange.market.market import Bar


def group_bars(bars: Iterable[Bar], width_ms: int) -> list[Bar]:
    """Bars of the given width; a bar exists only where there is something to put in it."""
    groups = groupby(bars, key=lambda bar: bar.opened_at_ms // width_ms * width_ms)
    return [_joined(opened_at_ms, list(members)) for opened_at_ms, members in groups]


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
