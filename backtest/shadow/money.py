"""What each policy's decisions would have made by settlement, beside holding, the rule-based and a random policy.

In: Compared, settlement prices. Out: a Made for each name, in USD at the spots of the decisions, over the same decision
points for all: those whose calls are known to have settled. Each decision counts for itself, against holding on to what
is held; a blocked one made nothing. Pure but for a seeded bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from backtest.replay.logged import Point
from backtest.replay.settled import PricesOfRuns, SettlementPrices, made_by_settlement
from backtest.shadow.compared import Compared, Wanted
from backtest.statistics.bootstrap import bootstrap_interval, means
from backtest.statistics.samples import NotEnoughDataError
from models import AgentState, Choice, ProposedAction

RANDOM = "random"
SEED = 1


@dataclass(frozen=True)
class Made:
    """`mean_usd` a decision point with its 90 % interval; None where there are too few for one."""

    name: str
    count: int
    mean_usd: float
    interval_usd: tuple[float, float] | None


def made_by_all(found: Compared, prices: PricesOfRuns) -> list[Made]:
    """One row a policy, the random one last; none where no decision point is known to the end."""
    columns = {name: [_wanted_usd(*row, prices.of(row[0])) for row in _rows(found, name)] for name in found.wanted}
    columns[RANDOM] = [_random_usd(point, prices.of(point)) for point in found.points]
    known = [place for place in range(len(found.points)) if not any(math.isnan(col[place]) for col in columns.values())]
    return [_made(name, [column[place] for place in known]) for name, column in columns.items()] if known else []


def _rows(found: Compared, name: str) -> list[tuple[Point, Wanted | None]]:
    return list(zip(found.points, found.wanted[name], strict=True))


def _wanted_usd(point: Point, wanted: Wanted | None, prices: SettlementPrices) -> float:
    """NaN where it did not decide, or where the end is not known."""
    if wanted is None:
        return math.nan
    return _usd(point.state, wanted.action, prices) if wanted.is_allowed else 0.0


def _random_usd(point: Point, prices: SettlementPrices) -> float:
    """Of one that draws evenly among the allowed actions: the mean of all, without dice."""
    choices: Sequence[Choice] = point.state.choices
    return math.fsum(_usd(point.state, one.proposed("random"), prices) for one in choices) / len(choices)


def _usd(state: AgentState, action: ProposedAction, prices: SettlementPrices) -> float:
    market = None if action.underlying is None else state.market(action.underlying)
    made_coin = made_by_settlement(state, action, prices)
    return made_coin if market is None else made_coin * market.spot_usd


def _made(name: str, values_usd: Sequence[float]) -> Made:
    mean = math.fsum(values_usd) / len(values_usd)
    try:
        found = bootstrap_interval(values_usd, means, seed=SEED)
    except NotEnoughDataError:
        return Made(name, len(values_usd), mean, None)
    return Made(name, len(values_usd), mean, (found.low, found.high))
