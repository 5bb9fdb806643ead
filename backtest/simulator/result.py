"""What a simulation came to: decisions, calls, chains, equity, and sums that add up. Pure.

In: what the notebook has kept. Out: SimulationResult. Amounts in coin, costs negative, in USD where the name says so.
Every figure is one of the quotes that `source` names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backtest.simulator.attribution import Attribution
from backtest.simulator.sources import QuoteSource
from core.results.earnings import CoinEarnings, EquityPoint
from core.results.settlements import expired_position
from core.results.sold_calls import CallChain, SoldCall
from core.text import printable
from models import ActionType, LedgerEntry

APPROXIMATE = '"is_approximate":true'  # in the note of a settlement
UNAVAILABLE = "13028 temporarily_unavailable"  # what a market answers in a gap of its data


@dataclass(frozen=True)
class Decision:
    """One decision and what became of it; `candidates`: how many calls it could have sold, both coins together."""

    at: datetime
    action_type: str
    coin: str | None
    symbol: str | None
    new_symbol: str | None
    size: float
    reason: str
    is_allowed: bool
    status: str
    error: str | None
    candidates: int
    refused_by: str = ""  # rules of the risk engine

    @property
    def what(self) -> tuple[str, str | None, str | None, float]:
        """What was decided, without the words."""
        return self.action_type, self.symbol, self.new_symbol, self.size


@dataclass(frozen=True)
class CoinResult:
    """One coin; `ledger` are the rows that the exchange has booked."""

    earnings: CoinEarnings
    calls: tuple[SoldCall, ...]
    chains: tuple[CallChain, ...]
    equity: tuple[EquityPoint, ...]
    attribution: Attribution
    ledger: tuple[LedgerEntry, ...] = ()

    @property
    def coin(self) -> str:
        return self.earnings.currency

    @property
    def upside_given_up_usd(self) -> float:
        """What calls were in the money at their expiry, in USD at the price they were settled at."""
        rows = [row for row in self.ledger if expired_position(row) is not None]
        return math.fsum(-row.before_fee_coin * (row.index_price_usd or 0.0) for row in rows) + 0.0

    @property
    def slippage_coin(self) -> float:
        """Of all sales against the mid at their decision; bad is negative."""
        return math.fsum(call.slippage_coin for call in self.calls if call.slippage_coin is not None)

    @property
    def wins(self) -> int:
        """Chains that are over and made something."""
        return len([chain for chain in self.chains if chain.closed_at is not None and (chain.pnl_coin or 0.0) > 0.0])

    @property
    def closed_chains(self) -> int:
        return len([chain for chain in self.chains if chain.closed_at is not None])

    @property
    def drawdown_fraction(self) -> float:
        """The deepest fall of the equity in coin below its highest point so far."""
        return deepest_fall([point.equity_coin for point in self.equity])

    @property
    def drawdown_usd_fraction(self) -> float:
        """The same of the equity in USD, which falls with the coin too."""
        return deepest_fall([point.equity_usd for point in self.equity if point.equity_usd is not None])


@dataclass(frozen=True)
class SimulationResult:
    """One run of one policy. `problem` says why it ended before its period did; `unsettled` are calls held past their
    expiry, because the data have no price to settle them at; `notes` say where the data end early or have gaps.
    """

    policy: str
    source: QuoteSource
    fills: str
    seed: int
    decisions: tuple[Decision, ...]
    coins: tuple[CoinResult, ...]
    problem: str | None = None
    unsettled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def started_at(self) -> datetime | None:
        return self.decisions[0].at if self.decisions else None

    @property
    def ended_at(self) -> datetime | None:
        return self.decisions[-1].at if self.decisions else None

    @property
    def net_usd(self) -> float:
        """Against holding, each coin at its last spot."""
        return math.fsum(coin.earnings.net_usd or 0.0 for coin in self.coins)

    @property
    def failed_decisions(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.error is not None)

    @property
    def had_no_candidate(self) -> bool:
        """Whether no call ever passed the filters."""
        return not any(decision.candidates for decision in self.decisions)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the figures must know first."""
        found = [] if self.problem is None else [f"ended early: {self.problem}"]
        found += self.notes
        made, failed = len(self.decisions), self.failed_decisions
        refused = [decision for decision in self.decisions if decision.refused_by]
        if failed:
            why = _failure(failed[-1])
            found.append(f"{len(failed)} of {made} decisions failed {_when(failed)}, the last one: {why}")
        if refused:
            rules = refused[-1].refused_by
            were = "was" if len(refused) == 1 else "were"
            found.append(f"{len(refused)} of {made} decisions {were} refused, the last one by the risk rules {rules}")
        if self.unsettled:
            names = ", ".join(self.unsettled)
            found.append(f"{names}: expired in a gap of the data, never settled; give --delivery-prices")
        found += _approximate_settlements([row for coin in self.coins for row in coin.ledger])
        if self.decisions and self.had_no_candidate:
            found.append("no call ever passed the filters: look at the settings, or at the quotes")
        return tuple(found)


def _approximate_settlements(ledger: Sequence[LedgerEntry]) -> list[str]:
    settled = [row for row in ledger if expired_position(row) is not None]
    count = len([row for row in settled if APPROXIMATE in (row.note or "").replace(" ", "")])
    said = f"{count} of {len(settled)} expired calls were settled at an approximate price; --delivery-prices brings "
    return [f"{said}the exchange's own"] if count else []


def _when(decisions: Sequence[Decision]) -> str:
    first, last = (f"{decision.at:%Y-%m-%d %H:%M}" for decision in (decisions[0], decisions[-1]))
    return f"at {first}" if first == last else f"between {first} and {last}"


def _failure(decision: Decision) -> str:
    """The reason of nothing done says it in a line, with the place in the policy; an order's failure is its error."""
    if UNAVAILABLE in decision.reason:
        return "the data have no quotes there"
    if decision.action_type == ActionType.DO_NOTHING:
        return printable(decision.reason.removeprefix("iteration failed: "))
    return printable((decision.error or "").strip().splitlines()[-1])


def deepest_fall(levels: Sequence[float]) -> float:
    """As a fraction of the highest level before it; 0 where it never fell."""
    highest, deepest = -math.inf, 0.0
    for level in levels:
        highest = max(highest, level)
        if highest > 0.0:
            deepest = max(deepest, 1.0 - level / highest)
    return deepest
