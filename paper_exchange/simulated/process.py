"""One hour of the simulated market: minutes of both indices and the factors behind volatility, skew and carry.

In: the seed and the state at the start of an hour. Out: log prices (2 coins x 61 minute marks) and the state at its
end. Every hour has its own dice, made from the seed and the hour's number, so the path depends on nothing else: not
on how often anyone looks. Pure. Volatility is annualised, a fraction; coins in the order of COINS.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    if max(numbers) >= WORD:
        return np.random.default_rng(numbers)
    return np.random.Generator(np.random.PCG64(np.array(numbers, dtype=np.uint32)))


def first_state(hour_number: int) -> ProcessState:
    """Where every path starts: median volatility, start prices."""
    return ProcessState(hour_number, _ANCHOR.copy(), np.zeros((len(COINS), len(FACTORS))))


def draw_hour(seed: int, state: ProcessState) -> tuple[FloatArray, ProcessState]:
    """Log prices of one hour, first minute mark to last, and the state the next hour starts from."""
    dice = dice_of(seed, state.hour_number)
    moves = _minute_moves(dice, state)
    _add_jump(dice, moves)
    steps = np.zeros((len(COINS), MINUTES + 1))
    moves.cumsum(axis=1, out=steps[:, 1:])
    log_prices = state.log_prices[:, None] + steps
    return log_prices, ProcessState(state.hour_number + 1, log_prices[:, -1], _next_factors(dice, state.factors))


def _minute_moves(dice: np.random.Generator, state: ProcessState) -> FloatArray:
    volatility = _VOLATILITY * np.exp(state.factors[:, SLOW] + state.factors[:, FAST])
    per_minute = volatility / _PER_MINUTE
    shocks = _correlated(dice.standard_t(settings.TAIL_DEGREES, (1 + len(COINS), MINUTES)) * _TO_UNIT_VARIANCE)
    pull_per_hour = (_ANCHOR - state.log_prices) / (settings.PULL_YEARS * HOURS_PER_YEAR)
    drift = pull_per_hour / MINUTES - 0.5 * per_minute**2
    moves: FloatArray = drift[:, None] + per_minute[:, None] * shocks
    return moves


def _add_jump(dice: np.random.Generator, moves: FloatArray) -> None:
    if dice.random() < 1.0 / (24.0 * settings.JUMP_INTERVAL_DAYS):
        moves[:, dice.integers(MINUTES)] += dice.normal(0.0, settings.JUMP_DEVIATION) * _JUMP_SCALE


def _next_factors(dice: np.random.Generator, factors: FloatArray) -> FloatArray:
    shocks = _correlated(dice.standard_normal((1 + len(COINS), len(FACTORS))))
    moved = _PERSISTENCE * factors + _FACTOR_STEP * shocks
    limited: FloatArray = np.minimum(np.maximum(moved, -_FACTOR_LIMIT), _FACTOR_LIMIT)
    return limited


def _correlated(draws: FloatArray) -> FloatArray:
    """First row: the market as a whole; one row a coin after it."""
    mixed: FloatArray = _SHARED * draws[0] + _OWN * draws[1:]
    return mixed
