"""What an action would have made by settlement, where the log knows at what price its calls were settled.

In: the state it was decided on, an action, settlement prices in USD. Out: coins, NaN where a price is not known. Each
action counts for itself, against holding on to what is held: a sale earns the bid less its fee and costs the payoff and
its fee, a buy-back costs the ask and its fee and saves the payoff, a roll is both, doing nothing is 0. Reads files of
prices, otherwise pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean

from backtest.replay.logged import Log, Point
from core.pricing import delivery_fee_coin, payoff_coin, trade_fee_coin
from core.results.settlements import settled_at_usd
from models import ActionType, AgentState, CandidateOption, LedgerEntry, OptionPosition, ProposedAction
from paper_exchange.market.clocks import from_ms
from paper_exchange.recorded.tables import read_delivery_prices

AVERAGED_OVER = timedelta(minutes=30)  # Deribit settles at the mean of the index over the last half hour
FEWEST_SPOTS = 3  # of the log's own lines in that half hour, without which their mean says too little

SIMULATED = "simulated"

Expiry = tuple[str, datetime]


@dataclass(frozen=True)
class SettlementPrices:
    """Prices in USD by coin and expiry: `booked` of the ledger or a file, `averaged` of the log's own spots."""

    booked: Mapping[Expiry, float] = field(default_factory=dict)
    averaged: Mapping[Expiry, float] = field(default_factory=dict)

    def of(self, coin: str, expiry: datetime) -> float:
        """NaN where nobody knows it."""
        key = (coin, expiry)
        return self.booked.get(key, self.averaged.get(key, math.nan))


NOTHING_KNOWN = SettlementPrices()


@dataclass(frozen=True)
class PricesOfRuns:
    """The prices of each run's market: two simulated ones settle the same expiry at different prices."""

    by_run: Mapping[str, SettlementPrices]

    def of(self, point: Point) -> SettlementPrices:
        return self.by_run.get(point.decision.run_id, NOTHING_KNOWN)


def prices_of_runs(log: Log, others: Mapping[Expiry, float]) -> PricesOfRuns:
    """What the runs on a market know of it together, each from its ledger and its lines; and `others`."""
    runs_on: dict[tuple[str, int], list[str]] = {}
    runs = log.runs
    for run_id, of_run in runs.items():
        runs_on.setdefault(_market_of(of_run[0]), []).append(run_id)
    found: dict[str, SettlementPrices] = {}
    for run_ids in runs_on.values():
        ledger = [entry for run_id in run_ids for entry in log.ledgers.get(run_id, ())]
        points = [point for run_id in run_ids for point in runs[run_id]]
        found |= dict.fromkeys(run_ids, settlement_prices(ledger, points, others))
    return PricesOfRuns(found)


def _market_of(point: Point) -> tuple[str, int]:
    """Its name; of a simulated one also the seed it is drawn from."""
    name = point.decision.market
    return name, point.state.seed if name == SIMULATED else 0


def settlement_prices(
    ledger: Iterable[LedgerEntry], points: Sequence[Point], others: Mapping[Expiry, float]
) -> SettlementPrices:
    """From the deliveries in the ledger, from the spots of the log's lines before 08:00 UTC, and from `others`."""
    return SettlementPrices(dict(others) | settled_at_usd(ledger), _averaged(points))


def delivery_prices_from(source: Path) -> dict[Expiry, float]:
    """The prices of a CSV file or a folder of them, those that are approximate left out; raises RecordingError."""
    return {
        (coin, from_ms(expiry_ms)): price.price_usd
        for (coin, expiry_ms), price in read_delivery_prices(source).items()
        if not price.is_approximate
    }


def _averaged(points: Sequence[Point]) -> dict[Expiry, float]:
    spots: dict[Expiry, list[float]] = {}
    for point in points:
        at = point.state.timestamp
        settled_at = at.replace(hour=8, minute=0, second=0, microsecond=0)
        if settled_at - AVERAGED_OVER <= at < settled_at:
            for market in point.state.markets:
                spots.setdefault((market.underlying, settled_at), []).append(market.spot_usd)
    return {expiry: fmean(found) for expiry, found in spots.items() if len(found) >= FEWEST_SPOTS}


def made_by_settlement(state: AgentState, action: ProposedAction, prices: SettlementPrices) -> float:
    """Coins of the action's own coin; NaN where it cannot be known, as for a call that the state does not show."""
    match action.type:
        case ActionType.DO_NOTHING:
            return 0.0
        case ActionType.OPEN_COVERED_CALL:
            return _sold(state.candidate(action.symbol), action.size, prices)
        case ActionType.CLOSE_COVERED_CALL:
            return _bought_back(state.position(action.symbol), action.size, prices)
        case ActionType.ROLL_COVERED_CALL:
            closed = _bought_back(state.position(action.symbol), action.size, prices)
            return closed + _sold(state.candidate(action.new_symbol), action.size, prices)


def _sold(call: CandidateOption | None, size: float, prices: SettlementPrices) -> float:
    if call is None:
        return math.nan
    price_coin = call.sale_price_coin
    premium_coin = size * price_coin - float(trade_fee_coin(price_coin, size))
    return premium_coin - _cost_at_expiry(call, size, prices)


def _bought_back(held: OptionPosition | None, size: float, prices: SettlementPrices) -> float:
    """Of a call that nobody offers, at its mark."""
    if held is None:
        return math.nan
    price_coin = held.mark_price_coin if held.ask_price_coin is None else held.ask_price_coin
    paid_coin = size * price_coin + float(trade_fee_coin(price_coin, size))
    return _cost_at_expiry(held, size, prices) - paid_coin


def _cost_at_expiry(call: CandidateOption | OptionPosition, size: float, prices: SettlementPrices) -> float:
    price_usd = prices.of(call.underlying, call.expiry)
    if math.isnan(price_usd):
        return math.nan
    payoff = payoff_coin(price_usd, call.strike)
    return size * payoff + delivery_fee_coin(payoff, size)
