"""Modelled against real quotes: python -m backtest.surface_errors CHAINS... --candles PATH --dvol PATH

In: recorded chains, hourly candles, DVOL, delivery prices, coefficient files. Out: tables on stdout: errors of the mid
by month, what is left of them with a chain a few hours or days old or with thirty trades, spreads, and the weekly call
real and modelled. Nothing later than a moment is used for it; months a set was fitted on are marked. Reads files; no
network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from backtest.historical.files import HistoryData, read_history
from backtest.refusals import WRONG_INPUT, refused
from backtest.surface.chains import ChainRows, read_chain_rows
from backtest.surface.coefficients import SHIPPED, Coin, SurfaceBook, SurfaceSet, read_surfaces
from backtest.surface.conditions import CoinHistory, Resolution
from backtest.surface.correction import Correction, Corrections
from backtest.surface.fitting import Sample, sample_of
from backtest.surface.judging import CorrectionAt, MonthError, model_volatilities, month_errors, spread_errors
from backtest.surface.observed import corrections_from_chains, simulated_trades, standing_correction, trades_correction
from backtest.surface.weekly import weekly_results
from cli.arguments import Parser
from paper_exchange.market.clocks import DAY_MS, HOUR_MS

CHAIN_AGES_DAYS = (0.2, 1.0, 3.0, 7.0)
TRADES = 30
OLDEST_TRADE_MS = int(6.5 * HOUR_MS)  # snapshots are not quite six hours apart


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a sentence on what is missing."""
    options = _parser().parse_args(arguments)
    try:
        data = read_history(options.candles, options.dvol, options.delivery_prices)
        books = [read_surfaces(path) for path in options.surface or [SHIPPED]]
        for coin in get_args(Coin):
            rows = read_chain_rows(options.chains, coin)
            if coin in data.coins and len(rows) > 0:
                _print_coin(coin, rows, data, [book for book in books if _has(book, coin)], options.seed)
    except WRONG_INPUT as error:
        return refused("surface_errors", error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m backtest.surface_errors", description="Modelled against real.")
    parser.add_argument("chains", nargs="+", type=Path, metavar="CHAINS", help="recorded chain files or folders")
    parser.add_argument("--candles", type=Path, required=True, help="hourly candles, BTC_*.csv and ETH_*.csv")
    parser.add_argument("--dvol", type=Path, required=True, help="DVOL closes, hourly and daily, named alike")
    parser.add_argument("--delivery-prices", type=Path, help="settlement prices, for the weekly call")
    parser.add_argument("--surface", type=Path, action="append", help="coefficient file (default: the shipped one)")
    parser.add_argument("--seed", type=int, default=1, help="draws the simulated trades (default 1)")
    return parser


def _has(book: SurfaceBook, coin: str) -> bool:
    return any(found.coin == coin for found in book.sets)


def _print_coin(coin: str, rows: ChainRows, data: HistoryData, books: list[SurfaceBook], seed: int) -> None:
    history = data.history(coin)
    resolutions: tuple[Resolution, ...] = ("hour", "day")
    for dvol in resolutions:
        sample = sample_of(rows, history, dvol)
        for surface in [found for book in books for found in book.of(coin, dvol)]:
            if len(sample.rows) > 0:
                _print_set(surface, sample, history, seed)
                _print_weekly(surface, sample, data)


def _print_set(surface: SurfaceSet, sample: Sample, history: CoinHistory, seed: int) -> None:
    print(f"\n{surface.name}, fitted on {surface.fitted_on} (spread: mean |log error|, ratio of sums)")
    print(
        "month       rows  2-35 d  7-35 d    bias    flat  premium  chain .2 d   1 d    3 d    7 d  30 trades  spread"
    )
    plain = list(month_errors(sample, surface))
    corrected = [_by_month(sample, surface, at) for at in _corrected(surface, sample, history, seed)]
    spread = {found.month: found for found in spread_errors(sample, surface)}
    for found in plain:
        columns = "".join(_percent(errors.get(found.month)) for errors in corrected)
        wide = spread.get(found.month)
        last = "" if wide is None else f"{wide.mean_log_error:6.2f} {wide.sum_ratio:5.2f}"
        print(f"{_line(found)}  {columns}  {last}{'  fitted' if surface.was_fitted_on(found.month) else ''}")


def _line(found: MonthError) -> str:
    errors = f"{found.model:8.1%}{found.model_from_7:8.1%}{found.bias:+8.1%}{found.flat:8.1%}{found.premium_ratio:9.2f}"
    return f"{found.month} {found.rows:7d}{errors}"


def _percent(fraction: float | None) -> str:
    return f"{'-':>8}" if fraction is None else f"{fraction:8.1%}"


def _by_month(sample: Sample, surface: SurfaceSet, correction_at: CorrectionAt) -> dict[str, float]:
    return {found.month: found.model for found in month_errors(sample, surface, correction_at)}


def _corrected(surface: SurfaceSet, sample: Sample, history: CoinHistory, seed: int) -> Iterator[CorrectionAt]:
    """Corrections by chains of several ages, and by thirty trades simulated from the chains of the last hours."""
    book = SurfaceBook(source="", sets=(surface,))
    measured = corrections_from_chains(sample.rows, history, book, surface.coin)
    for age_days in CHAIN_AGES_DAYS:
        yield _aged(measured, history, surface.dvol, int(age_days * DAY_MS))
    yield _from_trades(sample, history, surface, book, seed)


def _aged(measured: Corrections, history: CoinHistory, dvol: Resolution, age_ms: int) -> CorrectionAt:
    """As if nothing had been recorded since then; a chain a day older than meant is too old to tell."""

    def correction_at(at_ms: int) -> Correction | None:
        newest = measured.newest(at_ms - age_ms)
        if newest is None or at_ms - newest.at_ms > age_ms + DAY_MS:
            return None
        return standing_correction(Corrections([newest]), history, at_ms, dvol)

    return correction_at


def _from_trades(
    sample: Sample, history: CoinHistory, surface: SurfaceSet, book: SurfaceBook, seed: int
) -> Callable[[int], Correction | None]:
    dice = np.random.default_rng(seed)

    def correction_at(at_ms: int) -> Correction | None:
        trades = simulated_trades(sample.rows, at_ms - OLDEST_TRADE_MS, at_ms, TRADES, dice)
        return None if trades is None else trades_correction(trades, at_ms, history, book, surface.coin)

    return correction_at


def _print_weekly(surface: SurfaceSet, sample: Sample, data: HistoryData) -> None:
    volatility, _ = model_volatilities(sample, surface)
    prices = {at: price.price_usd for (coin, at), price in data.delivery_prices.items() if coin == surface.coin}
    results = weekly_results(sample, volatility, surface.spread.law(), prices.get)
    if not prices or results[0].weeks == 0:
        return
    print(f"{surface.name}: the weekly call of {results[0].weeks} Fridays, coin, real / modelled")
    for found in results:
        premium = f"premium {found.real_premium:.4f} / {found.model_premium:.4f}"
        pnl = f"P&L {found.real_pnl:.4f} / {found.model_pnl:.4f}"
        print(f"  delta {found.delta:.2f}  {premium}  {pnl}  same strike {found.same_strike_fraction:.0%}")


if __name__ == "__main__":
    raise SystemExit(main())
