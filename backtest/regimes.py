"""`python -m backtest.regimes CANDLES`: bull, sideways and bear of past years, by the rules of a state's regime.

In: hourly candles of a folder or file (`BTC_*.csv`, UTC, USD). Out: on the console the spells of each regime, its days
and the flips of each year; in a folder a table (`regimes_BTC.csv`) and a picture of the price with the regimes behind
it (`regimes_BTC.svg`). A day whose window of 365 closes is not there is unknown. Exit codes: 0 done, 2 no such data.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from backtest.refusals import WRONG_INPUT, refused
from cli.arguments import Parser
from core.context.regimes import WINDOW_DAYS, last_regime
from core.context.year import finished_days
from core.text import wrapped
from models import PriceBar
from paper_exchange.market.clocks import HOUR_MS, from_ms
from paper_exchange.market.market import Bar
from paper_exchange.recorded.tables import read_candles

UNKNOWN = "unknown"
NAMES = ("bull", "sideways", "bear", UNKNOWN)
COLOURS = {"bull": "#cfe8cf", "sideways": "#eeeeee", "bear": "#f3cfcf", UNKNOWN: "#ffffff"}
WIDTH, HEIGHT, MARGIN = 960, 320, 50
FONT = 'font-size="11" font-family="sans-serif"'


class Day(NamedTuple):
    """A day that is over: its close in USD, and the regime at that close."""

    day: date
    close_usd: float
    regime: str


class Spell(NamedTuple):
    """Days of one regime, one after another."""

    regime: str
    first: date
    last: date
    days: int


def regime_days(bars: Sequence[PriceBar]) -> list[Day]:
    """Each finished day of a history, by the closes of the WINDOW_DAYS days that end with it."""
    end = bars[-1].closed_at + timedelta(days=1) if bars else datetime.max.replace(tzinfo=UTC)
    closes = finished_days(bars, end)
    found = []
    for place, bar in enumerate(closes, 1):
        window = [past.close for past in closes[max(0, place - WINDOW_DAYS) : place]]
        regime = last_regime(window) if len(window) == WINDOW_DAYS else UNKNOWN
        found.append(Day((bar.closed_at - timedelta(microseconds=1)).date(), bar.close, regime))
    return found


def spells(days: Sequence[Day]) -> Iterator[Spell]:
    for regime, members in groupby(days, key=lambda day: day.regime):
        inside = list(members)
        yield Spell(regime, inside[0].day, inside[-1].day, len(inside))


def flips_by_year(days: Sequence[Day]) -> Counter[int]:
    """How often a year's regime was another than the day before; out of unknown is no flip."""
    pairs = ((before, after) for before, after in pairwise(days) if UNKNOWN not in (before.regime, after.regime))
    return Counter(after.day.year for before, after in pairs if before.regime != after.regime)


# --- what is shown ------------------------------------------------------------------------------------


def report(coin: str, days: Sequence[Day]) -> Iterator[str]:
    """The spells, then a row a year, in lines of at most 80 columns."""
    yield f"{coin}: {days[0].day} to {days[-1].day}"
    for spell in spells(days):
        yield f"  {spell.first} to {spell.last}  {spell.regime:<8} {spell.days:>5} days"
    yield f"  year  {'  '.join(f'{name:>8}' for name in NAMES)}     flips"
    flips = flips_by_year(days)
    for year, members in groupby(days, key=lambda day: day.day.year):
        yield _row(str(year), [day.regime for day in members], flips[year])
    yield _row("all ", [day.regime for day in days], flips.total())


def _row(name: str, regimes: Sequence[str], flips: int) -> str:
    counts = Counter(regimes)
    return f"  {name}  {'  '.join(f'{counts[regime]:>8}' for regime in NAMES)}  {flips:>8}"


def picture(coin: str, days: Sequence[Day]) -> str:
    """The price on a logarithmic scale, the regimes as bands behind it."""
    low, high = math.log(min(day.close_usd for day in days)), math.log(max(day.close_usd for day in days))
    first, span = days[0].day.toordinal(), max(1, days[-1].day.toordinal() - days[0].day.toordinal())

    def x(day: date) -> float:
        return MARGIN + (day.toordinal() - first) / span * (WIDTH - 2 * MARGIN)

    def y(price_usd: float) -> float:
        return MARGIN + (high - math.log(price_usd)) / max(high - low, 1e-9) * (HEIGHT - 2 * MARGIN)

    bands = "".join(
        f'<rect x="{x(spell.first):.1f}" y="{MARGIN}" width="{x(spell.last + timedelta(days=1)) - x(spell.first):.1f}"'
        f' height="{HEIGHT - 2 * MARGIN}" fill="{COLOURS[spell.regime]}">'
        f"<title>{spell.regime}: {spell.first} to {spell.last}</title></rect>"
        for spell in spells(days)
    )
    line = " ".join(f"{x(day.day):.1f},{y(day.close_usd):.1f}" for day in days)
    years = "".join(
        f'<text x="{x(day.day):.1f}" y="{HEIGHT - MARGIN + 16}">{day.day.year}</text>'
        for day in days
        if (day.day.month, day.day.day) == (1, 1)
    )
    prices = "".join(
        f'<text x="{MARGIN - 6}" y="{y(price):.1f}" text-anchor="end">{price:,.0f}</text>'
        for price in (min(day.close_usd for day in days), max(day.close_usd for day in days))
    )
    title = f"{coin} in USD, logarithmic; green bull, grey sideways, red bear"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}><title>{title}</title>'
        f'{bands}<polyline points="{line}" fill="none" stroke="#333333"/>{years}{prices}'
        f'<text x="{MARGIN}" y="{MARGIN - 14}">{title}</text></svg>'
    )


# --- the command ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Print, and write the files; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        histories = read_candles(options.candles)
    except WRONG_INPUT as error:
        return refused("regimes", error)
    written = [path for coin, bars in histories.items() for path in _one_coin(coin, _closes(bars), options)]
    for path in written:
        print(wrapped(f"wrote {path}"))
    if not written:
        return refused("regimes", f"{options.candles} has no candle of {options.first} to {options.last}")
    return 0


def _closes(bars: Sequence[Bar]) -> list[PriceBar]:
    return [PriceBar(from_ms(bar.opened_at_ms + HOUR_MS), bar.close) for bar in bars]


def _one_coin(coin: str, bars: Sequence[PriceBar], options: argparse.Namespace) -> list[Path]:
    days = [day for day in regime_days(bars) if options.first <= day.day.year <= options.last]
    if not days:
        return []
    print("\n".join(report(coin, days)))
    options.out.mkdir(parents=True, exist_ok=True)
    table, drawn = options.out / f"regimes_{coin}.csv", options.out / f"regimes_{coin}.svg"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([Day._fields, *days])
    drawn.write_text(picture(coin, days), encoding="utf-8")
    return [table, drawn]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m backtest.regimes", description="Shows which days were bull, sideways and bear.")
    parser.add_argument("candles", type=Path, help="hourly candles: a file or a folder (BTC_*.csv, also .gz)")
    parser.add_argument("--first", type=int, default=2019, metavar="YEAR", help="first year shown (default 2019)")
    parser.add_argument("--last", type=int, default=2025, metavar="YEAR", help="last year shown (default 2025)")
    parser.add_argument("--out", type=Path, default=Path("data/regimes"), metavar="DIR", help="where the files go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
