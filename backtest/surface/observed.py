"""Corrections from what was observed: whole recorded chains, or option trades.

In: chain rows or trades, the coin's history, coefficient sets. Out: Corrections, each known from the moment its last
observation was made. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from backtest.surface.chains import ChainRows
from backtest.surface.coefficients import SurfaceBook
from backtest.surface.conditions import CoinHistory, Conditions, Resolution
from backtest.surface.correction import Correction, Corrections, Residuals, correction_from, remaining_share
from backtest.surface.fitting import FIT_DAYS, FIT_DELTA, carry_of, mid_volatility
from backtest.surface.known import BoolArray, FloatArray, TimeArray
from backtest.surface.shape import (
    REFERENCE_DAYS,
    SHORTEST_DAYS,
    Options,
    call_prices,
    dvol_deviation,
    implied_volatility,
    moneyness,
    term_columns,
)
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, YEAR_MS

FEWEST_TRADES = 3
TRADES_LAST_MS = DAY_MS
TRADE_HALF_LIFE_MS = 6 * HOUR_MS
TRADED_DAYS = 20.0
TRADE_BELOW_MARK, TRADE_DEVIATION = -0.005, 0.014
TRADE_WEIGHT = 0.5  # a trade is at the bid or the ask, a quote's mid is not


@dataclass(frozen=True, slots=True)
class OptionTrades:
    """Trades of one coin's options, oldest first; volatility as a fraction. Puts tell as much as calls."""

    at_ms: TimeArray
    index_usd: FloatArray
    strikes_usd: FloatArray
    expires_at_ms: FloatArray
    iv_fraction: FloatArray

    def __len__(self) -> int:
        return len(self.at_ms)

    def where(self, chosen: BoolArray) -> OptionTrades:
        """The trades that are chosen."""
        return OptionTrades(
            self.at_ms[chosen],
            self.index_usd[chosen],
            self.strikes_usd[chosen],
            self.expires_at_ms[chosen],
            self.iv_fraction[chosen],
        )


def corrections_from_chains(rows: ChainRows, history: CoinHistory, book: SurfaceBook, coin: str) -> Corrections:
    """One a snapshot, known from the moment it was recorded."""
    usable = FIT_DELTA.holds(rows.call_delta) & FIT_DAYS.holds(rows.days) & np.isfinite(rows.mid_coin)
    rows = rows.where(usable)
    volatility, elasticity = mid_volatility(rows)
    starts = np.flatnonzero(np.diff(rows.at_ms, prepend=-1))
    found = (
        _from_chain(rows.where(part), volatility[part], elasticity[part], history, book, coin)
        for part in _slices(starts, len(rows))
    )
    return Corrections((correction for correction in found if correction is not None), "recorded chains")


def corrections_from_trades(trades: OptionTrades, history: CoinHistory, book: SurfaceBook, coin: str) -> Corrections:
    """One an hour in which something traded, from the trades of the day before it, fresh ones counting most."""
    hours = np.unique(trades.at_ms // HOUR_MS + 1) * HOUR_MS
    found = (trades_correction(trades, int(hour), history, book, coin) for hour in hours)
    return Corrections((correction for correction in found if correction is not None), "option trades")


def standing_correction(
    corrections: Corrections, history: CoinHistory, at_ms: int, dvol: Resolution
) -> Correction | None:
    """What is left of the newest correction at a moment, None where nothing is.

    Measured on yesterday's close, a correction holds what DVOL did since then too. Once that day's own close is known
    the model has moved by it, so it is taken out again.
    """
    measured = corrections.newest(at_ms)
    if measured is None or remaining_share((at_ms - measured.at_ms) / DAY_MS) == 0.0:
        return None
    moved = np.log(measured.dvol / history.dvol_in_hindsight(measured.at_ms, at_ms)) if dvol == "day" else 0.0
    level = measured.level + (float(moved) if np.isfinite(moved) else 0.0)
    return replace(measured, level=level).remainder_at(at_ms)


def trades_correction(
    trades: OptionTrades, at_ms: int, history: CoinHistory, book: SurfaceBook, coin: str
) -> Correction | None:
    """Level, slope and skew as the trades of the last day show them, None of too few.

    Trades further in the money than the surface was fitted on are left out: they would tell of the put wing.
    """
    recent = trades.where((trades.at_ms <= at_ms) & (trades.at_ms > at_ms - TRADES_LAST_MS))
    if len(recent) < FEWEST_TRADES:
        return None
    now = history.conditions_at(recent.at_ms)
    surface = book.usable(coin, bool(now.is_hourly.all()))
    if surface is None:
        return None
    now = history.conditions_at(recent.at_ms, surface.dvol)
    years = (recent.expires_at_ms - recent.at_ms) / YEAR_MS
    forwards = recent.index_usd * np.exp(surface.carry_fraction * years)
    options = Options(forwards, recent.strikes_usd, recent.expires_at_ms)
    model = implied_volatility(term_columns(now, options, recent.at_ms), now.dvol, surface.coefficients(), surface.cap)
    _, deltas = call_prices(options, recent.iv_fraction, recent.at_ms)
    residual = np.log(recent.iv_fraction / model)
    told = FIT_DELTA.holds(deltas) & FIT_DAYS.holds(options.days(recent.at_ms)) & np.isfinite(residual)
    weights = TRADE_WEIGHT * 0.5 ** ((at_ms - recent.at_ms) / TRADE_HALF_LIFE_MS)
    observed = _residuals(residual, options, now, recent.at_ms, weights, told)
    dvol = float(history.conditions_at(at_ms, surface.dvol).dvol[0])
    return correction_from(observed, at_ms, dvol=dvol) if len(observed) >= FEWEST_TRADES else None


def simulated_trades(
    rows: ChainRows, since_ms: int, before_ms: int, count: int, dice: np.random.Generator
) -> OptionTrades | None:
    """Trades drawn from the chains of a time, to judge with; None where too little was quoted.

    Short calls trade more than long ones. A trade's volatility lies about the mark's as real ones of 2022 did: half a
    point below in the middle, a tenth of them two points off.
    """
    usable = FIT_DELTA.holds(rows.call_delta) & FIT_DAYS.holds(rows.days) & np.isfinite(rows.mid_coin)
    found = np.flatnonzero(usable & (rows.at_ms >= since_ms) & (rows.at_ms < before_ms))
    if len(found) < count:
        return None
    share = np.exp(-rows.days[found] / TRADED_DAYS)
    drawn = np.sort(dice.choice(found, size=count, replace=False, p=share / share.sum()))
    volatility = rows.mark_iv_fraction[drawn] + dice.normal(TRADE_BELOW_MARK, TRADE_DEVIATION, count)
    index, strikes, expiries = rows.index_usd[drawn], rows.strikes_usd[drawn], rows.expires_at_ms[drawn]
    return OptionTrades(rows.at_ms[drawn], index, strikes, expiries, volatility)


def _slices(starts: np.ndarray[tuple[int], np.dtype[np.intp]], count: int) -> Iterator[BoolArray]:
    edges = [*starts.tolist(), count]
    for begin, end in pairwise(edges):
        part = np.zeros(count, dtype=np.bool_)
        part[begin:end] = True
        yield part


def _from_chain(
    rows: ChainRows,
    volatility: FloatArray,
    elasticity: FloatArray,
    history: CoinHistory,
    book: SurfaceBook,
    coin: str,
) -> Correction | None:
    now = history.conditions_at(rows.at_ms[:1])
    surface = book.usable(coin, bool(now.is_hourly[0]))
    if surface is None:
        return None
    now = history.conditions_at(rows.at_ms[:1], surface.dvol)
    terms = term_columns(now, rows.options, rows.at_ms)
    residual = np.log(volatility / implied_volatility(terms, now.dvol, surface.coefficients(), surface.cap))
    observed = _residuals(
        residual, rows.options, now, rows.at_ms, np.minimum(elasticity / 4.0, 1.0), np.isfinite(residual)
    )
    if len(observed) < FEWEST_TRADES:
        return None
    return correction_from(observed, int(rows.at_ms[0]), carry_of(rows) - surface.carry_fraction, float(now.dvol[0]))


def _residuals(
    residual: FloatArray, options: Options, now: Conditions, at_ms: TimeArray, weights: FloatArray, chosen: BoolArray
) -> Residuals:
    days = np.maximum(options.days(at_ms), SHORTEST_DAYS)
    y = moneyness(options, dvol_deviation(now.dvol, days))
    return Residuals(residual[chosen], np.log(days / REFERENCE_DAYS)[chosen], y[chosen], weights[chosen])
