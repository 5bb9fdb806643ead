"""A plain model of rewards for the doubly robust estimator: ridge regression on what an action is and what is held.

In: decision points, the reward of what was done at each. Out: for each point the model's reward of what was done and of
what the edited policy would do, always by a model fitted on the other parts of the time. USD. Pure.

Source of fitting on the other parts: Chernozhukov et al., "Double/debiased machine learning", 2018 (cross-fitting).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backtest.evaluate.considered import Considered
from backtest.statistics.samples import Floats
from models import UNDERLYINGS, ActionType, AgentState, ProposedAction

PARTS = 5
SHRINKAGE = 1.0  # in units of one observation: little where there are many
ACTIONS = (ActionType.OPEN_COVERED_CALL, ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL)


def modelled(points: Sequence[Considered], done: Sequence[ProposedAction], rewards: Floats) -> tuple[Floats, Floats]:
    """Of what was done, and of what the edited policy would do in the mean over its odds."""
    logged = np.array([features(point.point.state, action) for point, action in zip(points, done, strict=True)])
    edited = np.array([_mean_features(point) for point in points])
    found = np.empty((2, len(points)))
    for part in np.array_split(np.arange(len(points)), PARTS):
        others = np.setdiff1d(np.arange(len(points)), part)
        weights, centre, scale = _ridge(logged[others], rewards[others])
        mean = float(rewards[others].mean())
        for place, table in enumerate((logged, edited)):
            found[place, part] = mean + ((table[part] - centre) / scale) @ weights
    return found[0], found[1]


def features(state: AgentState, action: ProposedAction) -> tuple[float, ...]:
    """Which action on which coin; premium, delta and days of what is sold; exposure and value of what is held."""
    kinds = [float(action.type == kind and action.underlying == coin) for coin in UNDERLYINGS for kind in ACTIONS]
    sold = state.candidate(action.new_symbol or action.symbol)
    call = (0.0, 0.0, 0.0) if sold is None else (action.size * sold.premium_usd, sold.delta, sold.dte_days)
    held = [figure for coin in UNDERLYINGS for figure in _held(state, coin)]
    return (*kinds, *call, *held)


def _held(state: AgentState, coin: str) -> tuple[float, float]:
    market = next((market for market in state.markets if market.underlying == coin), None)
    shorts = [call for call in state.portfolio.positions if call.is_short_call and call.underlying == coin]
    spot_usd = 0.0 if market is None else market.spot_usd
    in_the_money_usd = math.fsum(call.size * max(0.0, spot_usd - call.strike) for call in shorts)
    return in_the_money_usd, math.fsum(call.size * call.mark_price_coin * spot_usd for call in shorts)


def _mean_features(point: Considered) -> Floats:
    rows = np.array([features(point.point.state, odd.action) for odd in point.after])
    return np.asarray(np.array([odd.probability for odd in point.after]) @ rows)


def _ridge(table: Floats, rewards: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights of standardised features; one that never moves gets none."""
    centre, deviation = table.mean(axis=0), table.std(axis=0)
    scale = np.where(deviation > 0.0, deviation, np.inf)
    scaled = (table - centre) / scale
    shrunk = scaled.T @ scaled + SHRINKAGE * np.eye(table.shape[1])
    return np.linalg.solve(shrunk, scaled.T @ (rewards - rewards.mean())), centre, scale
