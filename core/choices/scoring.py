"""How good an action is, in points, part by part: the one home of the score.

In: a call that may be sold or is held, its coin's market, the weights (SCORE_ settings). Out: ScoreParts, whose sum is
the score; a part whose weight is 0, or whose figure is not known, is left out. Yields in percent a year, deltas of one
contract, spreads in percent of mid. Doing nothing has 0 points: a sale counts what it brings, a buy-back takes away
what the held call would still bring, a roll is both. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from config import AgentConfig, ScoreConfig
from core.pricing import payoff_coin, trade_fee_coin
from models import CandidateOption, MarketSnapshot, OptionPosition, ScorePart

UNKNOWN_SPREAD_PCT = 30.0  # what a call without a bid or without an ask counts as
LEAST_DAYS = 1.0  # a call in its last hours would else look as if it paid thousands of percent a year
REGIME_SIGNS = {"bull": 1.0, "bear": -1.0}


def total(parts: Iterable[ScorePart]) -> float:
    """The score that these parts add up to."""
    return math.fsum(part.points for part in parts)


def sale_parts(call: CandidateOption, market: MarketSnapshot | None, config: AgentConfig) -> tuple[ScorePart, ...]:
    """How good a call is to sell in its coin's market."""
    weights = config.score
    spread_pct = UNKNOWN_SPREAD_PCT if call.spread_pct is None else call.spread_pct
    return _parts(
        ("yield", weights.yield_points, call.yield_if_flat_annual_pct),
        ("delta", weights.delta_points, call.delta),
        ("spread", weights.spread_points, spread_pct),
        ("one_sided", weights.one_sided_points, float(call.is_offered_at_mark)),
        ("target_delta", weights.target_delta_points, abs(call.delta - weights.target_delta)),
        ("target_days", weights.target_days_points, abs(call.dte_days - weights.target_days)),
        ("iv_rv", weights.iv_rv_points, _iv_above_rv(call, market)),
        ("regime", weights.regime_delta_points, _delta_in_regime(call, market)),
    )


def buy_back_parts(held: OptionPosition, spot_usd: float, weights: ScoreConfig) -> tuple[ScorePart, ...]:
    """How good it is to be rid of a held call: it earns no more (below 0), and bears no more risk (above 0).

    What is still to be earned if the price stays flat is what buying back costs at the ask (else the mark), fee
    included, beyond what the call is worth at expiry.
    """
    price_coin = held.mark_price_coin if held.ask_price_coin is None else held.ask_price_coin
    left_coin = price_coin + trade_fee_coin(price_coin, 1.0) - payoff_coin(spot_usd, held.strike)
    yearly_pct = 100.0 * left_coin * 365.0 / max(LEAST_DAYS, held.dte_days)
    delta = abs(held.delta) / held.size if held.size > 0.0 else 0.0
    return _parts(("yield", -weights.yield_points, yearly_pct), ("delta", -weights.delta_points, delta))


def _parts(*terms: tuple[str, float, float | None]) -> tuple[ScorePart, ...]:
    """Of each name, weight and figure the points."""
    parts = [
        ScorePart(name=name, points=weight * figure)
        for name, weight, figure in terms
        if weight != 0.0 and figure is not None
    ]
    return tuple(parts)


def _iv_above_rv(call: CandidateOption, market: MarketSnapshot | None) -> float | None:
    """By how much the call's own IV is above realised volatility, as a share of it; None where that is not known."""
    rv = None if market is None else market.rv_fraction
    return call.mark_iv_fraction / rv - 1.0 if rv is not None and rv > 0.0 else None


def _delta_in_regime(call: CandidateOption, market: MarketSnapshot | None) -> float | None:
    """The delta in a bull market, its opposite in a bear market, nothing in any other."""
    regime = None if market is None else market.regime
    return None if regime is None else call.delta * REGIME_SIGNS.get(regime, 0.0)
