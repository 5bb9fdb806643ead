"""The weekly call, sold on real quotes and on modelled ones of the same strikes: right premiums are not right P&L.

In: recorded calls, modelled volatilities, settlement prices. Out: per delta the sums over all Fridays in coin: premium
at the bid, P&L after fees held to expiry, and how often the model picks the strike that real quotes pick.
Rule: at the first snapshot after 08:05 UTC of a Friday sell the call of next Friday nearest the delta. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from backtest.surface.chains import ChainRows
from backtest.surface.fitting import Sample
from backtest.surface.known import FloatArray
from backtest.surface.shape import call_prices
from backtest.surface.spread import SpreadLaw, quotes_around, spreads, tick_era
from core.pricing import delivery_fee_coin, payoff_coin, trade_fee_coin
from paper_exchange.market.clocks import DAY_MS, MINUTE_MS, from_ms

FRIDAY = 4
FIRST_MINUTE = 8 * 60 + 5
DELTAS = (0.10, 0.20, 0.25, 0.50)

SettledAt = Callable[[int], float | None]  # expiry in ms -> USD


class WeeklyResult(NamedTuple):
    """Sums in coin over the weeks."""

    delta: float
    weeks: int
    real_premium: float
    model_premium: float
    real_pnl: float
    model_pnl: float
    same_strike_fraction: float


def weekly_results(sample: Sample, volatility: FloatArray, law: SpreadLaw, settled_at: SettledAt) -> list[WeeklyResult]:
    """One a delta; the model's spread is the law's own, without a residual."""
    weeks = [_Week(sample.rows.where(here), volatility[here], law) for here in _weekly_calls(sample.rows)]
    return [_result(delta, weeks, settled_at) for delta in DELTAS]


def _weekly_calls(rows: ChainRows) -> Iterator[np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Rows of each Friday's first snapshot that expire a week later."""
    done: set[int] = set()
    for at_ms in np.unique(rows.at_ms).tolist():
        moment, day = from_ms(at_ms), at_ms // DAY_MS
        minute = at_ms % DAY_MS // MINUTE_MS
        if moment.weekday() != FRIDAY or minute < FIRST_MINUTE or day in done:
            continue
        done.add(day)
        here = (rows.at_ms == at_ms) & (rows.expires_at_ms // DAY_MS == day + 7) & (rows.bid_coin > 0.0)
        if here.any():
            yield here


class _Week:
    """The calls of one Friday, with the model's deltas and bids."""

    def __init__(self, rows: ChainRows, volatility: FloatArray, law: SpreadLaw) -> None:
        at_ms = int(rows.at_ms[0])
        self.rows = rows
        self.expires_at_ms = int(rows.expires_at_ms[0])
        prices, self.deltas = call_prices(rows.options, volatility, rows.at_ms)
        era = tick_era(at_ms)
        spread = spreads(law, prices, rows.days, era, np.zeros(len(rows)))
        self.bids, _ = quotes_around(prices, spread, era)


def _result(delta: float, weeks: list[_Week], settled_at: SettledAt) -> WeeklyResult:
    real = [_sold(week, week.rows.call_delta, week.rows.bid_coin, delta) for week in weeks]
    model = [_sold(week, week.deltas, np.nan_to_num(week.bids), delta) for week in weeks]
    same = [a[0] == b[0] for a, b in zip(real, model, strict=True)]
    settled = [settled_at(week.expires_at_ms) for week in weeks]
    return WeeklyResult(
        delta=delta,
        weeks=len(weeks),
        real_premium=sum(premium for _, premium in real),
        model_premium=sum(premium for _, premium in model),
        real_pnl=_pnl(real, settled),
        model_pnl=_pnl(model, settled),
        same_strike_fraction=float(np.mean(same)) if same else float("nan"),
    )


def _sold(week: _Week, deltas: FloatArray, bids: FloatArray, wanted: float) -> tuple[float, float]:
    """Strike and premium of the call nearest the delta."""
    row = int(np.argmin(np.abs(deltas - wanted)))
    return float(week.rows.strikes_usd[row]), float(bids[row])


def _pnl(sold: list[tuple[float, float]], settled: list[float | None]) -> float:
    """Premium less fees and payoffs; weeks that are not settled yet count with their premium."""
    total = 0.0
    for (strike_usd, premium), price_usd in zip(sold, settled, strict=True):
        payoff = 0.0 if price_usd is None else payoff_coin(price_usd, strike_usd)
        total += premium - trade_fee_coin(premium, 1.0) - payoff - delivery_fee_coin(payoff, 1.0)
    return total
