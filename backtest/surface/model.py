"""A whole chain of one coin at one moment: forwards, volatilities, marks, quotes, and what is extrapolated.

In: what was known of the coin, a coefficient set, options as columns, dice. Out: columns again (coin, USD, fractions).
Pure but for the dice handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backtest.surface.coefficients import SurfaceSet
from backtest.surface.conditions import Conditions
from backtest.surface.correction import Correction
from backtest.surface.guard import smile_strength
from backtest.surface.known import BoolArray, FloatArray
from backtest.surface.shape import SHORTEST_DAYS, Options, call_prices, log_tenor, term_columns, time_shift
from backtest.surface.spread import quotes_around, spreads, tick_era
from paper_exchange.market.clocks import YEAR_MS

IV_DECIMALS = 4  # a hundredth of a percent, as Deribit shows it
FORWARD_DECIMALS = 4


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


def model_chain(
    moment: ModelMoment, strikes_usd: FloatArray, expires_at_ms: FloatArray, dice: np.random.Generator | None
) -> ModelChain:
    """All calls at once; without dice every spread is the law's own."""
    options = Options(forwards(moment, expires_at_ms), strikes_usd, expires_at_ms)
    volatility = np.round(model_volatility(moment, options), IV_DECIMALS)
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


def model_volatility(moment: ModelMoment, options: Options) -> FloatArray:
    """Volatilities as fractions, corrected where there is something to correct with."""
    terms = term_columns(moment.now, options, moment.at_ms)
    days = options.days(moment.at_ms)
    level, skew = np.zeros_like(days), np.zeros_like(days)
    if moment.correction is not None:
        level += moment.correction.level_at(log_tenor(days))
        skew += moment.correction.skew
    dvol = np.broadcast_to(moment.now.dvol, days.shape)
    return surface_volatility(moment.surface, terms, dvol, days, level, skew)


def surface_volatility(
    surface: SurfaceSet, terms: FloatArray, dvol: FloatArray, days: FloatArray, level: FloatArray, skew: FloatArray
) -> FloatArray:
    """One entry an option. `level` is added to the logarithm of the volatility, `skew` to its slope in moneyness."""
    coefficients = surface.coefficients()
    log_level = coefficients[0] + time_shift(terms, coefficients, surface.cap) + level
    slope, curve = coefficients[1] + skew, np.full_like(days, coefficients[2])
    root_time = np.sqrt(np.maximum(days, SHORTEST_DAYS) / 365.0)
    scale = np.exp(log_level) * np.sqrt(np.maximum(days, 1e-6) / 365.0) / root_time
    strength = _strength_by_smile(scale, dvol * root_time, slope, curve)
    y = terms[:, 1]
    volatility: FloatArray = dvol * np.exp(log_level + strength * (slope * y + curve * y**2))
    return volatility


def _strength_by_smile(scale: FloatArray, width: FloatArray, slope: FloatArray, curve: FloatArray) -> FloatArray:
    """Worked out once an expiry: options that follow each other usually share it."""
    changed = np.zeros(len(scale), dtype=np.bool_)
    changed[:1] = True
    for column in (scale, width, slope):
        changed[1:] |= np.diff(column) != 0.0
    first = np.flatnonzero(changed)
    strength = smile_strength(scale[first], width[first], slope[first], curve[first])
    shared: FloatArray = strength[np.cumsum(changed) - 1]
    return shared
