"""An AgentState as a row of numbers, every column with its unit and range.

In: a state, the worth of the account at the start. Out: a new float32 array without NaN; what lies outside the range of
its column is cut to it. Figures that are unknown, coins that are not traded, candidates and calls that are not there
are 0. Pure. `python -m backtest.environment.observation` prints the columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from backtest.environment.actions import call_in_question
from backtest.environment.rewards import Worth
from core.candidates import MAX_CANDIDATES
from models import UNDERLYINGS, AgentState, CandidateOption, CoinRisk, MarketSnapshot, OptionPosition, Underlying

Seen = TypeVar("Seen")


class Column(NamedTuple, Generic[Seen]):
    """One figure: its name, its unit, its range, and how it is taken out of what is seen."""

    name: str
    unit: str
    low: float
    high: float
    value: Callable[[Seen], float | None]

    def named(self, prefix: str) -> tuple[str, str, float, float]:
        """Name, unit, low and high, as a column of the row."""
        return f"{prefix}_{self.name}", self.unit, self.low, self.high


@dataclass(frozen=True)
class CoinView:
    """What is seen of one coin."""

    market: MarketSnapshot
    risk: CoinRisk
    equity_coin: float
    start_coin: float
    start_spot_usd: float

    def of_start(self, amount_coin: float) -> float | None:
        """An amount as a fraction of the coins of the start."""
        return amount_coin / self.start_coin if self.start_coin > 0.0 else None


@dataclass(frozen=True)
class CallView:
    """A sold call, at the spot of now."""

    call: OptionPosition
    view: CoinView


@dataclass(frozen=True)
class CandidateView:
    """A call that may be sold, at the spot of now."""

    call: CandidateOption
    spot_usd: float


REGIMES = {"bull": 1.0, "sideways": 0.0, "bear": -1.0}

COIN_COLUMNS: tuple[Column[CoinView], ...] = (
    Column("spot_change", "ln(spot / spot at start)", -5, 5, lambda s: math.log(s.market.spot_usd / s.start_spot_usd)),
    Column("atm_iv", "fraction a year", 0, 5, lambda s: s.market.atm_iv_fraction),
    Column("dvol", "fraction a year", 0, 5, lambda s: s.market.dvol_fraction),
    Column("rv", "fraction a year", 0, 5, lambda s: s.market.rv_fraction),
    Column("iv_rv", "ratio", 0, 10, lambda s: s.market.iv_rv_ratio),
    Column("skew_25d", "fraction", -2, 2, lambda s: s.market.skew_25d_fraction),
    Column("return_1d", "fraction", -1, 5, lambda s: s.market.return_1d_fraction),
    Column("return_7d", "fraction", -1, 5, lambda s: s.market.return_7d_fraction),
    Column("regime", "1 bull, 0 sideways, -1 bear", -1, 1, lambda s: REGIMES.get(s.market.regime or "")),
    Column("equity", "fraction of the coins at start", -10, 10, lambda s: s.of_start(s.equity_coin)),
    Column("room", "fraction of the coins at start", 0, 10, lambda s: s.of_start(s.risk.room_coin)),
    Column("short_calls", "fraction of the coins at start", 0, 10, lambda s: s.of_start(s.risk.short_calls_coin)),
    Column("net_delta", "fraction of the coins at start", -10, 10, lambda s: s.of_start(s.risk.net_delta)),
    Column("margin_used", "percent", 0, 1000, lambda s: s.risk.margin_used_pct),
)
HELD_COLUMNS: tuple[Column[CallView], ...] = (
    Column("held_size", "fraction of the coins at start", 0, 10, lambda s: s.view.of_start(s.call.size)),
    Column("held_dte", "days", 0, 400, lambda s: s.call.dte_days),
    Column("held_moneyness", "ln(strike / spot)", -5, 5, lambda s: math.log(s.call.strike / s.view.market.spot_usd)),
    Column("held_delta", "of one contract", 0, 1, lambda s: abs(s.call.delta) / s.call.size),
    Column("held_mark", "coin", 0, 1, lambda s: s.call.mark_price_coin),
    Column("held_ask", "coin", 0, 1, lambda s: s.call.ask_price_coin),
    Column("held_captured", "percent of the premium", -1000, 100, lambda s: s.call.captured_premium_pct),
)
CANDIDATE_COLUMNS: tuple[Column[CandidateView], ...] = (
    Column("exists", "1 or 0", 0, 1, lambda _: 1.0),
    Column("dte", "days", 0, 400, lambda s: s.call.dte_days),
    Column("moneyness", "ln(strike / spot)", 0, 5, lambda s: math.log(s.call.strike / s.spot_usd)),
    Column("delta", "of one contract", 0, 1, lambda s: s.call.delta),
    Column("iv", "fraction a year", 0, 5, lambda s: s.call.mark_iv_fraction),
    Column("spread", "percent of mid", 0, 200, lambda s: s.call.spread_pct),
    Column("yield_if_flat", "percent of spot", 0, 100, lambda s: s.call.yield_if_flat_pct),
    Column("yield_if_called", "percent of spot", 0, 1000, lambda s: s.call.yield_if_called_pct),
)


def columns() -> Iterator[tuple[str, str, float, float]]:
    """Name, unit, low and high of every column, in the order of the row."""
    for coin in UNDERLYINGS:
        prefix = coin.lower()
        yield from (column.named(prefix) for column in COIN_COLUMNS)
        yield from (column.named(prefix) for column in HELD_COLUMNS)
        for number in range(1, MAX_CANDIDATES + 1):
            yield from (column.named(f"{prefix}_candidate_{number}") for column in CANDIDATE_COLUMNS)


LOWS, HIGHS = (np.array(bounds, dtype=np.float64) for bounds in zip(*(c[2:] for c in columns()), strict=True))


def observe(state: AgentState, start: Worth) -> NDArray[np.float32]:
    """The row of a state."""
    figures = np.array([value for coin in UNDERLYINGS for value in _coin_row(state, coin, start)], dtype=np.float64)
    row = np.where(np.isfinite(figures), np.minimum(np.maximum(figures, LOWS), HIGHS), 0.0)
    return row.astype(np.float32)


def _coin_row(state: AgentState, coin: Underlying, start: Worth) -> list[float | None]:
    view, held = _view(state, coin, start), call_in_question(state, coin)
    row = _figures(COIN_COLUMNS, view)
    row += _figures(HELD_COLUMNS, None if held is None or view is None else CallView(held, view))
    calls = () if view is None else state.candidates_for(coin)[:MAX_CANDIDATES]
    for call in calls:
        row += _figures(CANDIDATE_COLUMNS, None if view is None else CandidateView(call, view.market.spot_usd))
    return row + [None] * (len(CANDIDATE_COLUMNS) * (MAX_CANDIDATES - len(calls)))


def _figures(shown: Sequence[Column[Seen]], seen: Seen | None) -> list[float | None]:
    """Not cut yet; None where they are not known."""
    return [None if seen is None else column.value(seen) for column in shown]


def _view(state: AgentState, coin: Underlying, start: Worth) -> CoinView | None:
    market, account, risk = state.market(coin), state.account(coin), state.risk(coin)
    if market is None or account is None or risk is None:
        return None
    return CoinView(market, risk, account.equity_coin, start.equity_coin[coin], start.spot_usd[coin])


if __name__ == "__main__":
    for name, unit, low, high in columns():
        print(f"{name:34} {low:7g} to {high:5g}  {unit}")
