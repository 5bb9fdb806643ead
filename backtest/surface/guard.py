"""Keeps the smile of every expiry free of arbitrage, whatever coefficients and corrections come together.

In: per expiry the level and width of the smile, its skew and curvature. Out: by how much skew and curvature are taken
(1 is whole) so that along all strikes delta falls and price is convex. A flat smile always is, so there is an answer.
Pure.

With x = ln(K / F) / width and total deviation s = scale width exp(L(x)): delta falls where d1 does, and price is convex
where (1 - x L')^2 - (s^2 L' / width)^2 / 4 + scale^2 exp(2 L) (L'' + L'^2) is not negative (Gatheral, Jacquier 2014).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from backtest.surface.known import BoolArray, FloatArray
from backtest.surface.shape import clamped_moneyness

SPACING = 0.1
SMALLEST_DENSITY = 0.01  # a little above zero: volatilities are rounded afterwards
STRENGTHS: list[float] = np.linspace(1.0, 0.0, 21).tolist()

_X = np.arange(-6.0, 7.0, SPACING)
_Y = clamped_moneyness(_X)
_Y_SQUARED = _Y**2
_Y1 = np.gradient(_Y, SPACING)
_Y1_SQUARED = _Y1**2
_Y2 = np.gradient(_Y1, SPACING)


def smile_strength(scale: FloatArray, width: FloatArray, skew: FloatArray, smile: FloatArray) -> FloatArray:
    """The largest share of skew and smile that holds, one an entry.

    scale: at-the-money s / width. width: DVOL times the root of the time that x is measured in.
    """
    whole, *shares = STRENGTHS
    holds = _holds(scale, width, skew, smile)
    strength = np.where(holds, whole, 0.0)
    open_rows = np.flatnonzero(~holds)  # mostly none
    for share in shares:
        if len(open_rows) == 0:
            break
        holds = _holds(scale[open_rows], width[open_rows], share * skew[open_rows], share * smile[open_rows])
        strength[open_rows[holds]] = share
        open_rows = open_rows[~holds]
    return strength


def _holds(scale: FloatArray, width: FloatArray, skew: FloatArray, smile: FloatArray) -> BoolArray:
    leanings = {*zip(skew.tolist(), smile.tolist(), strict=True)}
    shape = _shape_of_all(*leanings.pop()) if len(leanings) == 1 else _shape(skew[:, None], smile[:, None])
    squared = (scale**2)[:, None]
    turn = squared * width[:, None] * shape.turn
    is_sound: BoolArray = (squared * shape.convexity - turn**2 > shape.least) & (turn < shape.inner)
    holds: BoolArray = np.logical_and.reduce(is_sound, axis=1)
    return holds


class _Shape(NamedTuple):
    """What hangs on skew and smile alone: of d1 and density, the factors of scale^2 and of scale^2 width."""

    inner: FloatArray
    turn: FloatArray
    convexity: FloatArray
    least: FloatArray


def _shape(skew: float | FloatArray, smile: float | FloatArray) -> _Shape:
    slope = skew + 2.0 * smile * _Y
    log_first = slope * _Y1
    log_second = slope * _Y2 + 2.0 * smile * _Y1_SQUARED
    inner = 1.0 - _X * log_first
    squared = np.exp(2.0 * (skew * _Y + smile * _Y_SQUARED))
    return _Shape(
        inner=inner,
        turn=0.5 * squared * log_first,
        convexity=squared * (log_second + log_first**2),
        least=SMALLEST_DENSITY - inner**2,
    )


@lru_cache(maxsize=64)
def _shape_of_all(skew: float, smile: float) -> _Shape:
    """As a rule all expiries of a coin lean alike, and from moment to moment as well."""
    return _shape(skew, smile)
