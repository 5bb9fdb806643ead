"""The modelled spread between bid and ask, and quotes on the tick grid.

In: mid prices in coin, days to expiry, coefficients, a residual. Out: bids and asks in coin; NaN where nobody bids. One
rule for all years: at least two ticks, the tick being that of the era. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from backtest.surface.known import BoolArray, FloatArray, TimeArray
from paper_exchange.market.clocks import to_ms
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS

FEWEST_TICKS = 2
OLD_TICK = 0.0005
STEPS_SINCE_MS = to_ms(datetime(2024, 1, 1, tzinfo=UTC))
TICK_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class TickEra:
    """The ticks of a time, in coin: one tick up to a price, a wider one above it."""

    fine: float
    wide_above: float
    wide: float

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        """As a listing says it."""
        return ((self.wide_above, self.wide),) if self.wide != self.fine else ()

    def ticks(self, prices_coin: FloatArray) -> FloatArray:
        """The tick at each price."""
        if self.wide == self.fine:
            return np.full_like(prices_coin, self.fine)
        ticks: FloatArray = np.where(np.round(prices_coin, TICK_DECIMALS) > self.wide_above, self.wide, self.fine)
        return ticks


STEPS_ERA = TickEra(TICK_SIZE, *TICK_STEPS[0])
OLD_ERA = TickEra(OLD_TICK, TICK_STEPS[0][0], OLD_TICK)


@dataclass(frozen=True, slots=True)
class SpreadLaw:
    """spread = scale * mid ^ mid_power * days ^ days_power, in coin; `deviation` of its logarithm around that."""

    scale: float
    mid_power: float
    days_power: float
    deviation: float

    def raw(self, mids_coin: FloatArray, days: FloatArray) -> FloatArray:
        """The law itself, before ticks."""
        spread: FloatArray = self.scale * mids_coin**self.mid_power * days**self.days_power
        return spread


def tick_era(at_ms: int) -> TickEra:
    """.0005 at every price until 2023, steps since."""
    return STEPS_ERA if at_ms >= STEPS_SINCE_MS else OLD_ERA


class TickColumns(NamedTuple):
    """The eras of many moments; `above` is infinite where there is no wider tick."""

    fine: FloatArray
    above: FloatArray
    wide: FloatArray


def tick_columns(at_ms: TimeArray) -> TickColumns:
    """The same of many moments."""
    has_steps = at_ms >= STEPS_SINCE_MS
    return TickColumns(
        np.where(has_steps, STEPS_ERA.fine, OLD_ERA.fine),
        np.where(has_steps, STEPS_ERA.wide_above, np.inf),
        np.where(has_steps, STEPS_ERA.wide, np.nan),
    )


def spreads(law: SpreadLaw, mids_coin: FloatArray, days: FloatArray, era: TickEra, residual: FloatArray) -> FloatArray:
    """Whole ticks, two at least. `residual` is in standard deviations; zeros give the law's own spread."""
    safe_mids = np.maximum(mids_coin, 1e-6)
    wide = law.raw(safe_mids, np.maximum(days, 0.05)) * np.exp(law.deviation * residual)
    ticks = era.ticks(mids_coin)
    return np.maximum(np.round(wide / ticks), FEWEST_TICKS) * ticks


def quotes_around(mids_coin: FloatArray, spread_coin: FloatArray, era: TickEra) -> tuple[FloatArray, FloatArray]:
    """Bids and asks on the grid, as near to the mid as it allows; no bid where it would be below one tick."""
    bids = _on_grid(mids_coin - 0.5 * spread_coin, era)
    asks = np.maximum(_on_grid(bids + spread_coin, era), era.fine)
    nobody: BoolArray = bids < era.fine - 1e-12
    return np.where(nobody, np.nan, bids), asks


def _on_grid(prices_coin: FloatArray, era: TickEra) -> FloatArray:
    ticks = era.ticks(prices_coin)
    on_grid: FloatArray = np.round(np.round(prices_coin / ticks) * ticks, TICK_DECIMALS)
    return on_grid
