"""Where the quotes of a run come from, and how far to trust them: what stands on every figure. Pure.

In: the market of a run, after it. Out: a QuoteSource with the rung of the ladder, in words. Errors are those that the
surface's own file holds: median relative error of the mid in months that were not fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

from backtest.historical.market import HistoricalMarket
from backtest.surface.coefficients import SurfaceSet
from paper_exchange.market.market import Market


@dataclass(frozen=True)
class QuoteSource:
    """`kind`: recorded, historical or simulated. `rung`: how true its quotes are, in one sentence."""

    kind: str
    rung: str

    @property
    def label(self) -> str:
        """What stands on a figure."""
        return f"{'modelled' if self.kind == 'historical' else self.kind} quotes: {self.rung}"


RUNGS = {
    "recorded": "shown by the exchange, error 0",
    "simulated": "drawn from a seed, no market ever showed them",
}


def source_of(market: Market) -> QuoteSource:
    """Of a modelled market with the sets it has used and their errors."""
    if not isinstance(market, HistoricalMarket):
        return QuoteSource(market.kind, RUNGS.get(market.kind, "not on the ladder"))
    sets = [found for coin in market.currencies for found in market.sources(coin)]
    return QuoteSource(market.kind, "; ".join(map(_told, sets)) or "no chain was modelled")


def _told(surface: SurfaceSet) -> str:
    if not surface.errors:
        return f"{surface.name}, error of the mid not known"
    first = surface.errors[0]
    return f"{surface.name}, median error of the mid {100.0 * first.model_fraction:.1f} % ({first.judged_on})"
