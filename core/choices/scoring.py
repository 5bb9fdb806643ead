"""How good an action is, in points, part by part: the one home of the score.

In: a call that may be sold or is held, the settings' weights. Out: ScoreParts, whose sum is the score. Yields in
percent a year, deltas of one contract, spreads in percent of mid. Doing nothing has 0 points: a sale counts what it
brings, a buy-back takes away what the held call would still bring, a roll is both. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from config import ScoreConfig
from core.pricing import payoff_coin, trade_fee_coin
from models import CandidateOption, OptionPosition, ScorePart

UNKNOWN_SPREAD_PCT = 30.0  # what a call without a bid or without an ask counts as
LEAST_DAYS = 1.0  # a call in its last hours would else look as if it paid thousands of percent a year


def total(parts: Iterable[ScorePart]) -> float:
    """The score that these parts add up to."""
    return math.fsum(part.points for part in parts)


def sale_parts(call: CandidateOption, weights: ScoreConfig) -> tuple[ScorePart, ...]:
    """How good a call is to sell."""
    spread_pct = UNKNOWN_SPREAD_PCT if call.spread_pct is None else call.spread_pct
    return (
        ScorePart(name="yield", points=weights.yield_points * call.yield_if_flat_annual_pct),
        ScorePart(name="delta", points=weights.delta_points * call.delta),
        ScorePart(name="spread", points=weights.spread_points * spread_pct),
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
    return (
        ScorePart(name="yield", points=-weights.yield_points * yearly_pct),
        ScorePart(name="delta", points=-weights.delta_points * delta),
    )
