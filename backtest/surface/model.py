"""A whole chain of one coin at one moment: forwards, volatilities, marks, quotes, and what is extrapolated.

In: what was known of the coin, a coefficient set, options as columns, dice. Out: columns again (coin, USD, fractions).
Pure but for the dice handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.surface.coefficients import SurfaceSet
from backtest.surface.conditions import Conditions
from backtest.surface.correction import Correction
from backtest.surface.guard import smile_strength
from backtest.surface.known import BoolArray, FloatArray
from backtest.surface.shape import (
    SHORTEST_DAYS,
    Options,
    call_prices,
    dvol_deviation,
    log_tenor,
    moneyness,
    time_columns,
    time_shift,
)
from backtest.surface.spread import quotes_around, spreads, tick_era
from paper_exchange.market.clocks import DAY_MS, YEAR_MS

IV_DECIMALS = 4  # a hundredth of a percent, as Deribit shows it
FORWARD_DECIMALS = 4
FEW_ROWS = 40


@dataclass(frozen=True, slots=True)
class ModelMoment:
    """One coin at one moment: what is known, what it is priced with, what a chain or trades added."""

    at_ms: int
    index_usd: float
    now: Conditions
    surface: SurfaceSet
    correction: Correction | None = None
    is_warm: bool = True


@dataclass(frozen=True, slots=True)
class ModelChain:
    """Calls of one coin, one entry an option. NaN bid: nobody bids."""

    forwards_usd: FloatArray
    days: FloatArray
    iv_fraction: FloatArray
    mark_coin: FloatArray
    call_delta: FloatArray
    bid_coin: FloatArray
    ask_coin: FloatArray
    is_extrapolated: BoolArray


class Expiries(NamedTuple):
    """What all strikes of an expiry share is worked out once. `rows`: of each option, the place of its expiry."""

    at_ms: FloatArray
    rows: NDArray[np.intp]

    @property
    def of_rows(self) -> FloatArray:
        """A row an option."""
        return self.at_ms[self.rows]


@dataclass(frozen=True, slots=True)
class Smiles:
    """ln(volatility / DVOL) = log_level + strength (slope y + curve y^2), with y the clamped moneyness."""

    log_level: FloatArray
    slope: FloatArray
    curve: FloatArray
    strength: FloatArray

    def at(self, rows: NDArray[np.intp]) -> Smiles:
        """The smile of each of these rows."""
        return Smiles(self.log_level[rows], self.slope[rows], self.curve[rows], self.strength[rows])

    def volatility(self, dvol: FloatArray, y: FloatArray) -> FloatArray:
        """As a fraction."""
        shape = self.strength * (self.slope * y + self.curve * y**2)
        volatility: FloatArray = dvol * np.exp(self.log_level + shape)
        return volatility


def model_chain(
    moment: ModelMoment, strikes_usd: FloatArray, expiries: Expiries, dice: np.random.Generator | None
) -> ModelChain:
    """All calls at once; without dice every spread is the law's own."""
    options = Options(forwards(moment, expiries.at_ms)[expiries.rows], strikes_usd, expiries.of_rows)
    volatility = np.round(model_volatility(moment, options, expiries), IV_DECIMALS)
    marks, deltas = call_prices(options, volatility, moment.at_ms)
    days = options.days(moment.at_ms)
    residual = np.zeros_like(days) if dice is None else dice.standard_normal(len(days))
    era = tick_era(moment.at_ms)
    bids, asks = quotes_around(marks, spreads(moment.surface.spread.law(), marks, days, era, residual), era)
    inside = moment.surface.valid.holds(moment.now, days, deltas) & moment.is_warm
    return ModelChain(options.forwards_usd, days, volatility, marks, deltas, bids, asks, ~inside)


def forwards(moment: ModelMoment, expires_at_ms: FloatArray) -> FloatArray:
    """Index and carry; the carry is the set's own, and what a chain of these days showed."""
    shift = 0.0 if moment.correction is None else moment.correction.carry_shift
    years = (expires_at_ms - moment.at_ms) / YEAR_MS
    forward: FloatArray = moment.index_usd * np.exp((moment.surface.carry_fraction + shift) * years)
    return np.round(forward, FORWARD_DECIMALS)


def model_volatility(moment: ModelMoment, options: Options, expiries: Expiries) -> FloatArray:
    """Volatilities as fractions, corrected where there is something to correct with."""
    dvol, days = moment.now.dvol, (expiries.at_ms - moment.at_ms) / DAY_MS
    floored_days = np.maximum(days, SHORTEST_DAYS)
    level, skew = np.zeros_like(days), np.zeros_like(days)
    if moment.correction is not None:
        level += moment.correction.level_at(log_tenor(days))
        skew += moment.correction.skew
    time_terms = time_columns(moment.now, expiries.at_ms, floored_days, moment.at_ms)
    smiles = smiles_of(moment.surface, time_terms, np.broadcast_to(dvol, days.shape), days, level, skew)
    y = moneyness(options, dvol_deviation(dvol, floored_days)[expiries.rows])
    return smiles.at(expiries.rows).volatility(dvol, y)


def smiles_of(
    surface: SurfaceSet, time_terms: FloatArray, dvol: FloatArray, days: FloatArray, level: FloatArray, skew: FloatArray
) -> Smiles:
    """One entry a row. `level` is added to the logarithm of the volatility, `skew` to its slope in moneyness."""
    coefficients = surface.coefficients()
    log_level = coefficients[0] + time_shift(time_terms, coefficients, surface.cap) + level
    slope, curve = coefficients[1] + skew, np.full_like(days, coefficients[2])
    root_time = np.sqrt(np.maximum(days, SHORTEST_DAYS) / 365.0)
    scale = np.exp(log_level) * np.sqrt(np.maximum(days, 1e-6) / 365.0) / root_time
    return Smiles(log_level, slope, curve, _strength_by_smile(scale, dvol * root_time, slope, curve))


def _strength_by_smile(scale: FloatArray, width: FloatArray, slope: FloatArray, curve: FloatArray) -> FloatArray:
    """Worked out once an expiry: options that follow each other usually share it.

    Of few rows, such as those of expiries, each by itself costs less than to find out which are the same.
    """
    if len(scale) <= FEW_ROWS:
        return smile_strength(scale, width, slope, curve)
    changed = np.zeros(len(scale), dtype=np.bool_)
    changed[:1] = True
    for column in (scale, width, slope):
        changed[1:] |= np.diff(column) != 0.0
    first = np.flatnonzero(changed)
    strength = smile_strength(scale[first], width[first], slope[first], curve[first])
    shared: FloatArray = strength[np.cumsum(changed) - 1]
    return shared
