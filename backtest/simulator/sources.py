"""Where the quotes of a run come from, and how far to trust them: what stands on every figure. Pure.

In: the market of a run, after it, and the years of the run. Out: a QuoteSource with the rung of the ladder, in words.
Errors are those that the surface's own file holds: median relative error of the mid in months that were not fitted, of
the run's own years where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from backtest.historical.market import HistoricalMarket, ModelQuote
from backtest.surface.coefficients import ErrorFigure, SurfaceSet
from paper_exchange.account.ledger import LedgerEvent
from paper_exchange.market.market import Market

JUDGED_DAYS = "2 to 35"
YEAR = re.compile(r"\b20\d\d\b")


@dataclass(frozen=True)
class QuoteSource:
    """`kind`: recorded, historical or simulated. `rung`: how true its quotes are, in one sentence.

    Of a modelled market: the share of all quotes that lay outside what was fitted, and of the calls sold; and the part
    of the rung that is about a coin, by coin.
    """

    kind: str
    rung: str
    extrapolated_fraction: float | None = None
    sold_extrapolated: int = 0
    sold: int = 0
    rung_by_coin: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """What stands on a figure."""
        return self.label_of(None)

    def label_of(self, coin: str | None) -> str:
        """The same on a figure of one coin."""
        rung = self.rung if coin is None else self.rung_by_coin.get(coin, self.rung)
        return f"{'modelled' if self.kind == 'historical' else self.kind} quotes: {rung}"

    @property
    def extrapolated(self) -> str | None:
        """A sentence on quotes outside the fitted range; None where nothing is modelled."""
        if self.extrapolated_fraction is None:
            return None
        return (
            f"outside the fitted range: {100.0 * self.extrapolated_fraction:.0f} % of the quotes shown, "
            f"{self.sold_extrapolated} of {self.sold} sales"
        )


RUNGS = {
    "recorded": "shown by the exchange, error 0",
    "simulated": "drawn from a seed, no market ever showed them",
}


class SalesWatch:
    """Counts sales, and those at a quote that was extrapolated; hears of every change of the account."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.sold, self.extrapolated = 0, 0

    def __call__(self, event: LedgerEvent) -> None:
        if event.kind != "fill" or event.direction != "sell":
            return
        quote = self._market.quote(event.instrument_name)
        self.sold += 1
        self.extrapolated += isinstance(quote, ModelQuote) and quote.is_extrapolated


def source_of(market: Market, years: Collection[int] = (), sales: SalesWatch | None = None) -> QuoteSource:
    """Of a modelled market with the sets it has used and their errors."""
    if not isinstance(market, HistoricalMarket):
        return QuoteSource(market.kind, RUNGS.get(market.kind, "not on the ladder"))
    told = {coin: [_told(found, years) for found in market.sources(coin)] for coin in market.currencies}
    corrected = market.corrected_by()
    rung = "; ".join([*chain.from_iterable(told.values()), *corrected]) or "no chain was modelled"
    sold = (0, 0) if sales is None else (sales.extrapolated, sales.sold)
    rungs = {
        coin: "; ".join([*figures, *(one for one in corrected if one.startswith(coin))])
        for coin, figures in told.items()
        if figures
    }
    return QuoteSource(market.kind, rung, market.extrapolated_fraction, *sold, rungs)


def _told(surface: SurfaceSet, years: Collection[int]) -> str:
    figures = [found for found in surface.errors if found.days == JUDGED_DAYS]
    if not figures:
        return f"{surface.name}, error of the mid not known"
    same = [found for found in figures if years_of(found, surface) & {*years}]
    told = "; ".join(_figures(same or figures))
    unlike = f"; not judged in {_listed(years)}" if years and not same else ""
    return f"{surface.name}, median error of the mid {told}{unlike}"


def _figures(figures: Iterable[ErrorFigure]) -> Iterator[str]:
    for found in figures:
        flat = found.flat_dvol_fraction
        beside = f", flat DVOL {100.0 * flat:.0f} %" if flat is not None and flat < found.model_fraction else ""
        yield f"{100.0 * found.model_fraction:.1f} % ({found.judged_on}{beside})"


def years_of(figure: ErrorFigure, surface: SurfaceSet) -> set[int]:
    """The years that a figure was judged on: those it names, else those of the months fitted."""
    named = {int(year) for year in YEAR.findall(figure.judged_on)}
    return named or {int(month[:4]) for month in surface.months}


def _listed(years: Collection[int]) -> str:
    first, last = min(years), max(years)
    return str(first) if first == last else f"{first} to {last}"
