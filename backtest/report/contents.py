"""What a report is made of: a run, the policies beside it, what it depends on, the same policy on other quotes. Pure.

In: results. Out: a Report, and its weeks side by side. Amounts in coin. Quotes of two kinds stand in columns of their
own, never in one sum.
"""

from __future__ import annotations

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
