"""What a report is made of: a run, the policies beside it, what it depends on, the same policy on other quotes. Pure.

In: results. Out: a Report, and its weeks side by side. Amounts in coin. Quotes of two kinds stand in columns of their
own, never in one sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from backtest.simulator.result import SimulationResult
from backtest.simulator.sensitivity import SensitivityRow
from core.results.sold_calls import CallChain


@dataclass(frozen=True)
class OtherQuotes:
    """The same policy, settings and period on other quotes: `name` says which."""

    name: str
    result: SimulationResult


@dataclass(frozen=True)
class Report:
    """Everything that one command has run."""

    result: SimulationResult
    presets: tuple[SimulationResult, ...] = ()
    sensitivity: tuple[SensitivityRow, ...] = ()
    other_quotes: tuple[OtherQuotes, ...] = ()
    is_stopped: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first: of the run itself, and of what is missing beside it."""
        found = self.result.warnings
        if not self.is_stopped or self.result.problem is not None:
            return found
        return (*found, "stopped by hand: of the runs beside it only those that had ended are shown")

    @property
    def side_by_side(self) -> tuple[OtherQuotes, ...]:
        """The run itself first; nothing where it has no other quotes beside it."""
        if not self.other_quotes:
            return ()
        own = "recorded" if self.result.source.kind == "recorded" else "first set"
        return (OtherQuotes(own, self.result), *self.other_quotes)


@dataclass(frozen=True)
class Week:
    """Chains of one coin opened in one week (`monday`): of each of the quotes its calls and what they made, in coin."""

    monday: date
    coin: str
    calls: tuple[str, ...]
    pnl_coin: tuple[float | None, ...]


def weeks_of(side_by_side: Sequence[OtherQuotes], coin: str) -> Iterator[Week]:
    """Oldest first; P&L is None where nothing was opened, or is not over yet."""
    by_week = [_chains_by_week(one.result, coin) for one in side_by_side]
    for monday in sorted({monday for found in by_week for monday in found}):
        chains = [found.get(monday, []) for found in by_week]
        calls = tuple(", ".join(leg.symbol for chain in opened for leg in chain.legs) for opened in chains)
        yield Week(monday, coin, calls, tuple(map(_pnl_coin, chains)))


@dataclass(frozen=True)
class SameCalls:
    """By how much net P&L differs on two kinds of quotes: in all, and in the weeks in which the same calls were sold.

    `weeks` are those in which both sold and all is over by now; what they leave is the rest. Amounts in coin.
    """

    coin: str
    names: tuple[str, str]
    weeks: int
    same_weeks: int
    same_difference_coin: float
    other_difference_coin: float
    difference_coin: float

    @property
    def rest_coin(self) -> float:
        """What comes from weeks in which only one of the two sold, and from calls that are still open."""
        return self.difference_coin - self.same_difference_coin - self.other_difference_coin

    @property
    def sentence(self) -> str:
        first, other = self.names
        return (
            f"{self.coin}, {other} less {first}: {_signed(self.difference_coin)} coin, of which "
            f"{_signed(self.same_difference_coin)} in weeks of the same calls ({self.same_weeks}), "
            f"{_signed(self.other_difference_coin)} in weeks of others ({self.weeks - self.same_weeks}), "
            f"{_signed(self.rest_coin)} in weeks in which only one of the two sold"
        )


def _signed(amount_coin: float) -> str:
    return f"{round(amount_coin, 5) + 0.0:+.5f}"


def same_calls(side_by_side: Sequence[OtherQuotes], coin: str) -> Iterator[SameCalls]:
    """Each of the others against the first, over the weeks that are over in both; none where there is no such week."""
    weeks = list(weeks_of(side_by_side, coin))
    for place, other in enumerate(side_by_side[1:], 1):
        known = [
            (week.calls[0] == week.calls[place], (week.pnl_coin[place] or 0.0) - (week.pnl_coin[0] or 0.0))
            for week in weeks
            if week.pnl_coin[0] is not None and week.pnl_coin[place] is not None
        ]
        same, others = ([difference for is_same, difference in known if is_same is wanted] for wanted in (True, False))
        if known:
            names = side_by_side[0].name, other.name
            difference_coin = _net_coin(other.result, coin) - _net_coin(side_by_side[0].result, coin)
            yield SameCalls(coin, names, len(known), len(same), math.fsum(same), math.fsum(others), difference_coin)


def _net_coin(result: SimulationResult, coin: str) -> float:
    return math.fsum(one.earnings.net_coin for one in result.coins if one.coin == coin)


def _chains_by_week(result: SimulationResult, coin: str) -> dict[date, list[CallChain]]:
    found: dict[date, list[CallChain]] = {}
    for chain in (chain for one in result.coins if one.coin == coin for chain in one.chains):
        if chain.opened_at is not None:
            monday = chain.opened_at.date() - timedelta(days=chain.opened_at.weekday())
            found.setdefault(monday, []).append(chain)
    return found


def _pnl_coin(chains: Sequence[CallChain]) -> float | None:
    known = [chain.pnl_coin for chain in chains if chain.closed_at is not None and chain.pnl_coin is not None]
    return sum(known) if known and len(known) == len(chains) else None
