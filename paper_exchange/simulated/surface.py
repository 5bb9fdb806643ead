"""The simulated volatility surface: level by tenor, skew and smile by moneyness, and the forward.

In: the five factors of a coin (see settings.py), a row an expiry, years to expiry, moneyness in standard deviations.
Out: implied volatility as a fraction, forwards in USD, prices in coin, all as arrays. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.pricing import normal_cdf
from paper_exchange.simulated import settings
from paper_exchange.simulated.process import FloatArray
from paper_exchange.simulated.settings import CARRY, FACTORS, FAST, PREMIUM, SKEW, SLOW, CoinProfile

IV_MIN_FRACTION = 0.05


class ProfileRows(NamedTuple):
    """Of a CoinProfile what the surface is made of, a row a coin or an expiry."""

    implied_fraction: FloatArray
    carry_fraction: FloatArray
    skew: FloatArray


def profile_rows(profiles: Sequence[CoinProfile]) -> ProfileRows:
    """A row a coin."""
    rows = [(profile.implied_fraction, profile.carry_fraction, profile.skew) for profile in profiles]
    return ProfileRows(*np.array(rows).T)


def level_fraction(profile: ProfileRows, factors: FloatArray, years: FloatArray) -> FloatArray:
    """At-the-money volatility: the expected one over the option's life, times a premium, dearer for long tenors."""
    expected = factors[..., SLOW] * _mean_weight(SLOW, years) + factors[..., FAST] * _mean_weight(FAST, years)
    term = 1.0 + settings.TERM_RISE * (1.0 - np.exp(-years / settings.TERM_RISE_YEARS))
    level: FloatArray = profile.implied_fraction * term * np.exp(expected + factors[..., PREMIUM])
    return level


def _mean_weight(factor: int, years: FloatArray) -> FloatArray:
    """How much of a factor's value of now is left on average until expiry."""
    decays = years * 365.0 * math.log(2.0) / FACTORS[factor].half_life_days
    weight: FloatArray = -np.expm1(-decays) / decays
    return weight


def volatility_index_pct(profile: ProfileRows, factors: FloatArray) -> FloatArray:
    """The surface's answer to DVOL: 30-day at-the-money volatility in percent, two decimals, a row a coin."""
    years = np.array(settings.VOLATILITY_INDEX_DAYS / 365.0)
    pct: FloatArray = np.round(100.0 * level_fraction(profile, factors, years), 2)
    return pct


def forwards_usd(profile: ProfileRows, factors: FloatArray, index_usd: FloatArray, years: FloatArray) -> FloatArray:
    """Forward per expiry: index plus carry, four decimals as Deribit shows it."""
    carry = profile.carry_fraction + factors[:, CARRY]
    unrounded: FloatArray = index_usd * np.exp(carry * years)
    return unrounded.round(4)


def moneyness(forward: FloatArray, strike: FloatArray, level: FloatArray, years: FloatArray) -> FloatArray:
    """Strike over forward in standard deviations."""
    deviations: FloatArray = np.log(strike / forward) / (level * np.sqrt(years))
    return deviations


def slopes(profile: ProfileRows, factors: FloatArray) -> FloatArray:
    """How the smile of each expiry leans now: the change of iv / atm per standard deviation of moneyness."""
    leaning: FloatArray = profile.skew + factors[:, SKEW]
    return leaning


def iv_fractions(slope: FloatArray, smile: FloatArray, level: FloatArray, deviations: FloatArray) -> FloatArray:
    """Implied volatility with skew and smile, rounded to a hundredth of a percent as Deribit shows it."""
    m = soft_clamp(deviations, -settings.MONEYNESS_LIMIT, settings.MONEYNESS_LIMIT, settings.MONEYNESS_SHARPNESS)
    unrounded: FloatArray = np.maximum(level * (1.0 + slope * m + smile * m**2), IV_MIN_FRACTION)
    return unrounded.round(4)


def soft_clamp(x: FloatArray, low: float, high: float, sharpness: float) -> FloatArray:
    """x in the middle, flat towards both ends, smooth throughout."""
    below = high - np.logaddexp(0.0, sharpness * (high - x)) / sharpness
    clamped: FloatArray = low + np.logaddexp(0.0, sharpness * (below - low)) / sharpness
    return clamped


class StrikePrices(NamedTuple):
    """What call and put of each strike are worth, and the call's delta; strikes in parts of the forward."""

    values: FloatArray
    strikes: FloatArray
    call_deltas: FloatArray

    @property
    def calls_coin(self) -> FloatArray:
        """Eight decimals, as puts."""
        return _shown(self.values)

    @property
    def puts_coin(self) -> FloatArray:
        return _shown(self.values - 1.0 + self.strikes)


def price_columns(forward: FloatArray, strike: FloatArray, iv: FloatArray, years: FloatArray) -> StrikePrices:
    """Black-76 for whole columns; pricing.black76_price_coin gives the same one by one."""
    spread, strikes = iv * np.sqrt(years), strike / forward
    d1 = np.log(forward / strike) / spread + 0.5 * spread
    call_delta = normal_cdf(d1)
    return StrikePrices(call_delta - strikes * normal_cdf(d1 - spread), strikes, call_delta)


def _shown(value: FloatArray) -> FloatArray:
    shown: FloatArray = np.maximum(value, 0.0).round(8)
    return shown
