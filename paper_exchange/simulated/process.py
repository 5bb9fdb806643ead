"""Hours of the simulated market: minutes of both indices and the factors behind volatility, skew and carry.

In: the seed and the state at the start of an hour. Out: log prices (2 coins x 61 minute marks an hour), factors, and
the state at their end. Every hour has its own dice, made from the seed and the hour's number, so the path depends on
nothing else: not on how often anyone looks, nor on how many hours are drawn at once. Pure. Volatility is annualised, a
fraction; coins in the order of COINS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paper_exchange.simulated import settings
from paper_exchange.simulated.settings import COINS, FACTORS, FAST, PROFILES, SLOW

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MINUTES = 60
HOURS_PER_YEAR = 365.0 * 24.0
WORD = 2**32

_VOLATILITY = np.array([PROFILES[coin].volatility_fraction for coin in COINS])
_JUMP_SCALE = np.array([PROFILES[coin].jump_scale for coin in COINS])
_ANCHOR = np.log([PROFILES[coin].start_price_usd for coin in COINS])
_DEVIATION = np.array([factor.deviation for factor in FACTORS])
_PERSISTENCE = np.array([0.5 ** (1.0 / (24.0 * factor.half_life_days)) for factor in FACTORS])
_FACTOR_STEP = _DEVIATION * np.sqrt(1.0 - _PERSISTENCE**2)
_FACTOR_LIMIT = settings.FACTOR_LIMIT_DEVIATIONS * _DEVIATION
_PER_MINUTE = np.sqrt(HOURS_PER_YEAR * MINUTES)
_TO_UNIT_VARIANCE = np.sqrt((settings.TAIL_DEGREES - 2.0) / settings.TAIL_DEGREES)
_SHARED = np.sqrt(settings.CORRELATION)
_OWN = np.sqrt(1.0 - settings.CORRELATION)


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The market at the start of an hour (counted from 1970): log prices (2) and factors (2 x 5)."""

    hour_number: int
    log_prices: FloatArray
    factors: FloatArray


def dice_of(*numbers: int) -> np.random.Generator:
    """Those of np.random.default_rng(numbers), made in half the time where the numbers fit into 32 bits."""
    if min(numbers) < 0 or max(numbers) >= WORD:  # below zero there are none, as it says
        return np.random.default_rng(numbers)
    return np.random.Generator(np.random.PCG64(np.array(numbers, dtype=np.uint32)))


def first_state(hour_number: int) -> ProcessState:
    """Where every path starts: median volatility, start prices."""
    return ProcessState(hour_number, _ANCHOR.copy(), np.zeros((len(COINS), len(FACTORS))))


class DrawnHours(NamedTuple):
    """Hours one after the other: log prices (n x 2 x 61), factors at the end of each (n x 2 x 5), the state then."""

    log_prices: FloatArray
    factors: FloatArray
    after: ProcessState


class _Throws(NamedTuple):
    """What the dice of so many hours show. `jumps`: minute and log size, by the place of the hour."""

    minutes: FloatArray
    factors: FloatArray
    jumps: dict[int, tuple[int, float]]


def draw_hours(seed: int, state: ProcessState, count: int) -> DrawnHours:
    """At least one; together they cost a third of what they cost one by one."""
    throws = _thrown(seed, range(state.hour_number, state.hour_number + count))
    factors = _walked(state.factors, throws.factors)  # at the start of each hour, and after the last one
    log_prices = _log_prices(state.log_prices, factors[:-1], throws)
    after = ProcessState(state.hour_number + count, log_prices[-1, :, -1], factors[-1])
    return DrawnHours(log_prices, factors[1:], after)


def _thrown(seed: int, hour_numbers: range) -> _Throws:
    minutes, factors, jumps = [], [], {}
    for place, number in enumerate(hour_numbers):
        dice = dice_of(seed, number)
        minutes.append(dice.standard_t(settings.TAIL_DEGREES, (1 + len(COINS), MINUTES)))
        if dice.random() < 1.0 / (24.0 * settings.JUMP_INTERVAL_DAYS):
            jumps[place] = int(dice.integers(MINUTES)), dice.normal(0.0, settings.JUMP_DEVIATION)
        factors.append(dice.standard_normal((1 + len(COINS), len(FACTORS))))
    return _Throws(_correlated(np.array(minutes) * _TO_UNIT_VARIANCE), _correlated(np.array(factors)), jumps)


def _walked(first: FloatArray, shocks: FloatArray) -> FloatArray:
    """Factors before and after each shock."""
    steps, factors = _FACTOR_STEP * shocks, np.empty((len(shocks) + 1, *first.shape))
    factors[0] = first
    for place, step in enumerate(steps):
        moved = _PERSISTENCE * factors[place] + step
        factors[place + 1] = np.minimum(np.maximum(moved, -_FACTOR_LIMIT), _FACTOR_LIMIT)
    return factors


def _log_prices(first: FloatArray, factors: FloatArray, throws: _Throws) -> FloatArray:
    """Each hour from where the one before ended, first minute mark to last."""
    volatility = _VOLATILITY * np.exp(factors[:, :, SLOW] + factors[:, :, FAST])
    per_minute = volatility / _PER_MINUTE
    half_variances, moves = 0.5 * per_minute**2, per_minute[:, :, None] * throws.minutes
    log_prices = np.zeros((len(factors), len(COINS), MINUTES + 1))
    opened = first
    for place, hour in enumerate(log_prices):
        pull_per_hour = (_ANCHOR - opened) / (settings.PULL_YEARS * HOURS_PER_YEAR)
        drift = pull_per_hour / MINUTES - half_variances[place]
        moved = drift[:, None] + moves[place]
        if place in throws.jumps:
            minute, size = throws.jumps[place]
            moved[:, minute] += size * _JUMP_SCALE
        moved.cumsum(axis=1, out=hour[:, 1:])
        hour += opened[:, None]
        opened = hour[:, -1]
    return log_prices


def _correlated(draws: FloatArray) -> FloatArray:
    """Of each hour the first row: the market as a whole; one row a coin after it."""
    mixed: FloatArray = _SHARED * draws[:, :1] + _OWN * draws[:, 1:]
    return mixed
