"""The index's past levels as one client has read them: of each reading only what is new is asked of the market.

In: a market, a coin, one of the exchange's ranges ("1m", "1d"). Out: PriceBars (USD), oldest first, the same as a whole
reading. What is over does not change, so a month of hours is not read again each hour. Keeps one range of each kind.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta

from models import PriceBar
from paper_exchange.in_process.readings import level_of
from paper_exchange.market import lookup
from paper_exchange.market.clocks import from_ms, to_ms
from paper_exchange.market.market import Market

FINAL_AFTER = timedelta(hours=1)  # a candle from a file may end as late as that after the hour that it counts to


class LevelMemory:
    """Time only moves forward for it."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._final: dict[tuple[str, str], tuple[PriceBar, ...]] = {}

    def levels(self, currency: str, reach: str) -> tuple[PriceBar, ...]:
        """All of the range that are known now."""
        final = self._final.get((currency, reach), ())
        kept = final[bisect_left(final, from_ms(lookup.first_level_ms(self._market, reach)), key=_closed_at) :]
        known_until_ms = to_ms(kept[-1].closed_at) if kept else 0
        new = lookup.index_levels(self._market, currency, reach, known_until_ms)
        levels = (*kept, *[level_of(at_ms, level_usd) for at_ms, level_usd in new])
        final_until = self._market.clock.now() - FINAL_AFTER
        self._final[currency, reach] = levels[: bisect_right(levels, final_until, key=_closed_at)]
        return levels


def _closed_at(bar: PriceBar) -> datetime:
    return bar.closed_at
