"""Keeps the smile of every expiry free of arbitrage, whatever coefficients and corrections come together.

In: per expiry the level and width of the smile, its skew and curvature. Out: by how much skew and curvature are taken
(1 is whole) so that along all strikes delta falls and price is convex. A flat smile always is, so there is an answer.
Pure.

With x = ln(K / F) / width and total deviation s = scale width exp(L(x)): delta falls where d1 does, and price is convex
where (1 - x L')^2 - (s^2 L' / width)^2 / 4 + scale^2 exp(2 L) (L'' + L'^2) is not negative (Gatheral, Jacquier 2014).
"""

from __future__ import annotations

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
    scale, width, skew, smile = (column[:, None] for column in (scale, width, skew, smile))
    slope = skew + 2.0 * smile * _Y
    log_first = slope * _Y1
    log_second = slope * _Y2 + 2.0 * smile * _Y1_SQUARED
    ratio = scale * np.exp(skew * _Y + smile * _Y_SQUARED)
    squared = ratio**2
    inner = 1.0 - _X * log_first
    density = inner**2 - 0.25 * (squared * width * log_first) ** 2 + squared * (log_second + log_first**2)
    d1_slope = -inner / ratio + 0.5 * ratio * width * log_first
    holds: BoolArray = ((density > SMALLEST_DENSITY) & (d1_slope < 0.0)).all(axis=1)
    return holds
