"""Fits the surface to recorded chains: python -m backtest.calibrate CHAINS... --candles PATH --dvol PATH

In: chain files or folders, hourly candles, DVOL (CSV). Out: data/surface_<coin>_<from>_<to>.json, one a coin:
coefficients with hourly and with daily DVOL, spread, carry, range of validity, months, and errors in months that were
left out or never fitted, by delta and days. Choose it with --surface. Reads and writes files; no network.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from backtest.historical.files import HistoryData, read_history
from backtest.refusals import WRONG_INPUT, refused
from backtest.surface.chains import ChainRows, read_chain_rows
from backtest.surface.coefficients import Coin, ErrorFigure, SurfaceBook, SurfaceSet, write_surfaces
from backtest.surface.conditions import Resolution
from backtest.surface.fitting import FitError, Sample, fit_surface, sample_of
from backtest.surface.judging import month_errors
from cli.arguments import Parser
from config import PROJECT_FOLDER

DATA_FOLDER = PROJECT_FOLDER / "data"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a sentence on what is missing."""
    options = _parser().parse_args(arguments)
    try:
        data = read_history(options.candles, options.dvol)
        for coin in get_args(Coin):
            rows = read_chain_rows(options.chains, coin)
            if coin in data.coins and len(rows) > 0:
                _calibrate(coin, rows, data, options)
    except (*WRONG_INPUT, FitError) as error:
        return refused("calibrate", error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m backtest.calibrate", description="Fits the surface to chains.")
    parser.add_argument("chains", nargs="+", type=Path, metavar="CHAINS", help="recorded chain files or folders")
    parser.add_argument("--candles", type=Path, required=True, help="hourly candles, BTC_*.csv and ETH_*.csv")
    parser.add_argument("--dvol", type=Path, required=True, help="DVOL closes, hourly and daily, named alike")
    parser.add_argument("--from", dest="first", default="0000-00", metavar="YYYY-MM", help="first month to fit")
    parser.add_argument("--to", dest="last", default="9999-99", metavar="YYYY-MM", help="last month to fit")
    parser.add_argument("--out", type=Path, default=DATA_FOLDER, help="folder for the result (default data/)")
    return parser


def _calibrate(coin: Coin, rows: ChainRows, data: HistoryData, options: argparse.Namespace) -> None:
    sets = tuple(_fit_both(coin, rows, data, options.first, options.last))
    if not sets:
        raise FitError(f"{coin}: no month from {options.first} to {options.last} has chains and DVOL")
    months = sorted({month for found in sets for month in found.months})
    path = options.out / f"surface_{coin}_{months[0]}_{months[-1]}.json"
    sources = ", ".join(source.name for source in options.chains)
    write_surfaces(SurfaceBook(source=f"python -m backtest.calibrate on {sources}", sets=sets), path)
    print(f"{coin}: {path}")
    for found in sets:
        _print_set(found)


def _fit_both(coin: Coin, rows: ChainRows, data: HistoryData, first: str, last: str) -> Iterator[SurfaceSet]:
    resolutions: tuple[Resolution, ...] = ("hour", "day")
    for dvol in resolutions:
        sample = sample_of(rows, data.history(coin), dvol)
        inside = (sample.months >= first) & (sample.months <= last)
        if inside.any():
            fitted = fit_surface(sample.where(inside), coin, dvol)
            yield fitted.model_copy(update={"errors": (*fitted.errors, *_later_errors(sample.where(~inside), fitted))})


def _later_errors(sample: Sample, fitted: SurfaceSet) -> Iterator[ErrorFigure]:
    """In months that are there but were not to be fitted."""
    for found in month_errors(sample, fitted):
        for days, model in (("2 to 35", found.model), ("7 to 35", found.model_from_7)):
            if np.isfinite(model):
                yield ErrorFigure(
                    judged_on=found.month,
                    days=days,
                    model_fraction=round(model, 4),
                    bias_fraction=round(found.bias, 4),
                    flat_dvol_fraction=round(found.flat, 4),
                )


def _print_set(found: SurfaceSet) -> None:
    used = "  ".join(f"{term} {value:+.4f}" for term, value in found.terms.items() if value != 0.0)
    print(f"  {found.name}: {used}")
    for error in found.errors:
        flat = "" if error.flat_dvol_fraction is None else f", flat DVOL {error.flat_dvol_fraction:.1%}"
        print(f"    {error.judged_on}, {error.days} days: {error.model_fraction:.1%}{flat}")


if __name__ == "__main__":
    raise SystemExit(main())
