"""One trial, from a description that can be sent to another process or machine to a line of the journal.

In: a Job: a policy by name, settings without the key, the files of a market. Out: a TrialRow: what it earned over
holding in each period of equal length, as a fraction of the value held at its start. Reads the market's files, which a
process keeps; trials of one process run one after another. Errors of market and policy file are a row with `error`.
"""

from __future__ import annotations

import argparse
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from backtest.simulator.markets import end_of, markets_of
from backtest.simulator.presets import random_entries
from backtest.simulator.result import SimulationResult
from backtest.simulator.simulation import CoveredCallSimulator, MakeSetup, NamedPolicy, Period
from backtest.surface.coefficients import SurfaceError
from cli.policy_file import load_policy
from config import AgentConfig
from core.results.earnings import EquityPoint
from models import AgentError, AgentState, ProposedAction
from paper_exchange.recorded.files import RecordingError
from policies.call import Policy

RANDOM_ENTRIES = "random entries"
DIGITS = 12
ONE_AT_A_TIME = threading.Lock()  # what a policy may change belongs to the whole process


@dataclass(frozen=True)
class MarketFiles:
    """The market's part of the command line, under the same names."""

    recording: Path | None
    candles: Path | None
    dvol: Path | None
    delivery_prices: Path | None
    surface: Path | None
    start: str | None
    end: str | None
    weekdays: str | None
    correct_with: Path | None = None
    trades: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in vars(self).values() if isinstance(path, Path))


@dataclass(frozen=True)
class Job:
    """Everything a trial depends on. `dice` is the seed of random entries, None for a trial of a policy."""

    trial: str
    market: str
    policy: str
    values: tuple[tuple[str, str], ...]
    constants: Mapping[str, float]
    config: AgentConfig
    files: MarketFiles
    return_days: float
    dice: int | None = None


class TrialRow(BaseModel):
    """A line of the journal. `returns`: one a period, over holding, as fractions; USD and coin are over holding too."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    trial: str
    market: str
    policy: str
    is_random: bool = False
    values: dict[str, str] = {}
    return_days: float = 1.0
    start: datetime | None = None
    returns: tuple[float, ...] = ()
    net_usd: float = 0.0
    net_coin: dict[str, float] = {}
    sold: int = 0
    rolls: int = 0
    decisions: int = 0
    drawdown_usd_fraction: float = 0.0
    source: str = ""
    warnings: tuple[str, ...] = ()
    ended_early: bool = False
    error: str | None = None


def run_job(job: Job) -> TrialRow:
    """Run it; this is what a worker is sent."""
    known: dict[str, Any] = {
        "trial": job.trial,
        "market": job.market,
        "policy": job.policy,
        "is_random": job.dice is not None,
    }
    with ONE_AT_A_TIME:
        try:
            return TrialRow(**known, values=dict(job.values), return_days=job.return_days, **_ran(job))
        except (AgentError, RecordingError, SurfaceError) as error:
            return TrialRow(**known, error=str(error))


def _ran(job: Job) -> dict[str, Any]:
    make_setup, period = market_from(job.files)
    policy, source, constants = _policy_of(job)
    with constants_set(policy, constants):
        named = NamedPolicy(job.policy, policy, source)
        simulator = CoveredCallSimulator(job.config, make_setup, named, period, end_of=end_of)
        result = simulator.run()
    return _figures(result, simulator.span, job.return_days)


def _policy_of(job: Job) -> tuple[Policy, str, Mapping[str, float]]:
    if job.dice is not None:
        return RandomEntries(job.dice), RANDOM_ENTRIES, {}
    decide, source = load_policy(job.policy)
    return decide, source, job.constants


@lru_cache(maxsize=2)
def market_from(files: MarketFiles) -> tuple[MakeSetup, Period]:
    """The market, read once a process; raises as markets_of does."""
    markets = markets_of(argparse.Namespace(**asdict(files)))
    return markets.make_setup, markets.period


class RandomEntries:
    """Random entries with dice of their own, on the market that every trial has."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, agent_state: AgentState, config: AgentConfig) -> ProposedAction:
        run = config.run.model_copy(update={"seed": self._seed})
        return random_entries(agent_state, config.model_copy(update={"run": run}))


def constants_of(policy: Policy) -> dict[str, float]:
    """The numbers in capital letters that a policy's module defines, by name; no other part of it is one to try."""
    found = getattr(policy, "__globals__", {})
    return {name: value for name, value in found.items() if name.isupper() and type(value) in (int, float)}


@contextmanager
def constants_set(policy: Policy, values: Mapping[str, float]) -> Iterator[None]:
    """Other numbers while a trial runs; whole where the policy's own is, as far as the value allows."""
    if not values:
        yield
        return
    module: dict[str, Any] = policy.__globals__
    before = {name: module[name] for name in values}
    whole = {name: int(value) for name, value in values.items() if type(before[name]) is int and value == int(value)}
    module.update(dict(values) | whole)
    try:
        yield
    finally:
        module.update(before)


# --- what came of it --------------------------------------------------------------------------------


def _figures(result: SimulationResult, span: tuple[datetime, datetime | None], return_days: float) -> dict[str, Any]:
    start, end = span[0], span[1] or result.ended_at or span[0]
    points = {coin.coin: coin.equity for coin in result.coins}
    return {
        "start": start,
        "returns": tuple(round(value, DIGITS) for value in period_returns(points, start, end, return_days)),
        "net_usd": round(result.net_usd, 6),
        "net_coin": {coin.coin: round(coin.earnings.net_coin, DIGITS) for coin in result.coins},
        "sold": sum(coin.earnings.sold for coin in result.coins),
        "rolls": sum(coin.earnings.rolls for coin in result.coins),
        "decisions": len(result.decisions),
        "drawdown_usd_fraction": max((coin.drawdown_usd_fraction for coin in result.coins), default=0.0),
        "source": result.source.label,
        "warnings": result.warnings,
        "ended_early": result.problem is not None,
    }


def period_returns(
    points: Mapping[str, Sequence[EquityPoint]], start: datetime, end: datetime, return_days: float
) -> Iterator[float]:
    """What the calls earned over holding in each period, at the spots of its end, per USD held at its start.

    A period that the run does not fill is left out; where no state was read, the last one before it stands.
    """
    length = timedelta(days=return_days)
    count = int((end - start) / length + 1e-6)
    edges = [start + number * length for number in range(count + 1)]
    seen = {coin: list(_at_edges(rows, edges)) for coin, rows in points.items() if rows}
    for number in range(count):
        pairs = [(found[number], found[number + 1]) for found in seen.values()]
        held_usd = math.fsum(first.holding_coin * (first.spot_usd or 0.0) for first, _ in pairs)
        earned_usd = math.fsum(
            (_over_holding(last) - _over_holding(first)) * (last.spot_usd or 0.0) for first, last in pairs
        )
        yield earned_usd / held_usd if held_usd > 0.0 else 0.0


def _over_holding(point: EquityPoint) -> float:
    return point.equity_coin - point.holding_coin


def _at_edges(rows: Sequence[EquityPoint], edges: Sequence[datetime]) -> Iterator[EquityPoint]:
    """The last point at or before each edge, the first one before there is any."""
    place = 0
    for edge in edges:
        while place + 1 < len(rows) and rows[place + 1].at <= edge:
            place += 1
        yield rows[place]
