"""The shape of the modelled surface: implied volatility of every strike from DVOL and a handful of terms.

In: conditions of the moment, forward and strikes in USD, times in ms, coefficients. Out: volatility as a fraction, call
prices in coin, call deltas, all as arrays that broadcast. The soft clamp keeps what must hold: along the strikes of an
expiry delta and price fall and price is convex. Measured on chains of 2021 to 2026; errors are in the file. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from backtest.surface.conditions import Conditions
from backtest.surface.known import FloatArray
from paper_exchange.market.clocks import DAY_MS
from paper_exchange.simulated.surface import price_columns, soft_clamp

CLAMP_LOW, CLAMP_HIGH, CLAMP_SHARPNESS = -1.5, 2.2, 1.5
CENTRE = 0.0450  # the clamp's value at the forward
SHORTEST_DAYS = 1.5
REFERENCE_DAYS = 30.0  # the tenor of DVOL
USUAL_WEEKEND = 2.0 / 7.0
LOWEST_SHIFT = -0.4
FIRST_SATURDAY_DAY = 2.0  # 1970-01-03, in days since 1970
SHAPE_TERMS = 3

TERMS = ("level", "skew", "smile", "weekend", "excess", "term", "unrest", "trend")


class Options(NamedTuple):
    """Options of one coin as columns; USD and ms."""

    forwards_usd: FloatArray
    strikes_usd: FloatArray
    expires_at_ms: FloatArray

    def days(self, at_ms: ArrayLike) -> FloatArray:
        """Days to expiry."""
        days: FloatArray = (self.expires_at_ms - np.asarray(at_ms, dtype=np.float64)) / DAY_MS
        return days


def implied_volatility(terms: FloatArray, dvol: FloatArray, coefficients: FloatArray, cap: float) -> FloatArray:
    """The formula by itself, as it is fitted; the terms that move with time are held between LOWEST_SHIFT and `cap`."""
    shape = terms[:, :SHAPE_TERMS] @ coefficients[:SHAPE_TERMS]
    shift = time_shift(terms[:, SHAPE_TERMS:], coefficients, cap)
    volatility: FloatArray = dvol * np.exp(shape + shift)
    return volatility


def time_shift(time_terms: FloatArray, coefficients: FloatArray, cap: float) -> FloatArray:
    """What the terms that move with time add to the logarithm of the volatility."""
    shift: FloatArray = np.clip(time_terms @ coefficients[SHAPE_TERMS:], LOWEST_SHIFT, cap)
    return shift


def log_tenor(days: FloatArray) -> FloatArray:
    """ln(days / 30), short lives as SHORTEST_DAYS."""
    tenor: FloatArray = np.log(np.maximum(days, SHORTEST_DAYS) / REFERENCE_DAYS)
    return tenor


def term_columns(now: Conditions, options: Options, at_ms: ArrayLike) -> FloatArray:
    """One row an option, one column a term, in the order of TERMS. Conditions hold one entry, or one a row."""
    days = np.maximum(options.days(at_ms), SHORTEST_DAYS)
    y = moneyness(options, dvol_deviation(now.dvol, days))
    shape = np.stack((np.ones_like(y), y, y**2), axis=1)
    return np.concatenate((shape, time_columns(now, options.expires_at_ms, days, at_ms)), axis=1)


def time_columns(now: Conditions, expires_at_ms: FloatArray, days: FloatArray, at_ms: ArrayLike) -> FloatArray:
    """The terms that move with time, those after SHAPE_TERMS: options of one expiry share them."""
    tenor = log_tenor(days)
    terms = (
        weekend_share(at_ms, expires_at_ms) - USUAL_WEEKEND,
        now.excess * tenor,
        tenor,
        now.unrest * tenor,
        now.trend,
    )
    columns = np.empty((len(tenor), len(terms)))
    for place, term in enumerate(terms):
        columns[:, place] = term
    return columns


def dvol_deviation(dvol: FloatArray, days: FloatArray) -> FloatArray:
    """One standard deviation of ln(spot) at expiry, by DVOL."""
    deviation: FloatArray = dvol * np.sqrt(days / 365.0)
    return deviation


def moneyness(options: Options, deviation: FloatArray) -> FloatArray:
    """Softly clamped log-moneyness in standard deviations; 0 is near the forward."""
    return clamped_moneyness(np.log(options.strikes_usd / options.forwards_usd) / deviation)


def clamped_moneyness(deviations: FloatArray) -> FloatArray:
    """Softly clamped, as the sets were fitted: a hard clamp breaks convexity in strike."""
    return soft_clamp(deviations, CLAMP_LOW, CLAMP_HIGH, CLAMP_SHARPNESS) - CENTRE


def weekend_share(start_ms: ArrayLike, end_ms: ArrayLike) -> FloatArray:
    """Share of the time from start to end that is Saturday or Sunday UTC."""
    start, end = np.asarray(start_ms, dtype=np.float64), np.asarray(end_ms, dtype=np.float64)
    share: FloatArray = (_weekend_days(end) - _weekend_days(start)) / np.maximum((end - start) / DAY_MS, 1e-9)
    return share


def _weekend_days(at_ms: FloatArray) -> FloatArray:
    """Weekend days from the first Saturday of 1970 until then."""
    days = at_ms / DAY_MS - FIRST_SATURDAY_DAY
    weeks = np.floor(days / 7.0)
    counted: FloatArray = 2.0 * weeks + np.minimum(days - 7.0 * weeks, 2.0)
    return counted


def call_prices(options: Options, volatility: FloatArray, at_ms: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Black-76 call prices in coin and call deltas."""
    years = options.days(at_ms) / 365.0
    prices = price_columns(options.forwards_usd, options.strikes_usd, volatility, years)
    return prices.calls_coin, prices.call_deltas
