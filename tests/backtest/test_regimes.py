"""python -m backtest.regimes: spells, years and a picture; and volatility of real prices, worked out a second time."""

from __future__ import annotations

import csv
import gzip
import io
import math
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from backtest.regimes import flips_by_year, main, regime_days, spells
from config import PROJECT_FOLDER
from core.context.regimes import WINDOW_DAYS
from core.market_context import Closes, volatility_of_days
from models import PriceBar

REAL = PROJECT_FOLDER.parent / "shared/market_data/spot/BTC_1h.csv.gz"
START = datetime(2019, 1, 1, tzinfo=UTC)


def price_of(day: int) -> float:
    """A wave of 200 days, up and down by half."""
    return 100.0 * math.pow(1.5, math.sin(2.0 * math.pi * day / 200.0))


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Six-hourly rows are enough for days."""
    path = tmp_path / "BTC_1h.csv"
    lines = ["open_time,open,high,low,close,volume"]
    for number in range(800 * 4):
        at, price = START + timedelta(hours=6 * number), price_of(number // 4)
        lines.append(f"{at:%Y-%m-%d %H:%M:%S},{price},{price},{price},{price},1")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_command_lists_spells_and_years_and_writes_table_and_picture(
    candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(candles), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "2019-01-01 to 2019-12-30  unknown    364 days" in said
    rows = list(csv.DictReader((tmp_path / "out/regimes_BTC.csv").read_text().splitlines()))
    assert {row["regime"] for row in rows} == {"unknown", "bull", "sideways", "bear"}
    years = [line.split() for line in said.splitlines() if line.split()[0] in ("2019", "2020", "2021", "all")]
    counted = [int(figure) for figure in years[-1][1:5]]
    names = ("bull", "sideways", "bear", "unknown")
    assert counted == [len([row for row in rows if row["regime"] == name]) for name in names]
    assert sum(int(year[5]) for year in years[:-1]) == int(years[-1][5]) > 4
    assert (tmp_path / "out/regimes_BTC.svg").read_text().count("<rect") == len(said.split(" days\n")) - 1


@pytest.mark.parametrize("options", [["--first", "2001", "--last", "2002"], []])
def test_nothing_to_show_is_a_sentence(
    options: list[str], candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = candles if options else tmp_path / "nowhere"
    assert main([str(source), "--out", str(tmp_path / "out"), *options]) == 2
    assert capsys.readouterr().err.startswith("backtest.regimes:")


def test_a_day_without_a_whole_window_is_unknown_and_no_flip() -> None:
    bars = [PriceBar(START + timedelta(days=day + 1), price_of(day)) for day in range(WINDOW_DAYS + 1)]
    days = regime_days(bars)
    assert [day.regime == "unknown" for day in days] == [True] * (WINDOW_DAYS - 1) + [False] * 2
    assert sum(spell.days for spell in spells(days)) == len(days)
    assert flips_by_year(days[: WINDOW_DAYS + 1]).total() <= 1


@pytest.mark.skipif(not REAL.exists(), reason="real market data is not here")
@pytest.mark.parametrize("days", [7, 30])
def test_realised_volatility_of_real_prices_is_that_of_an_independent_computation(days: int) -> None:
    with io.TextIOWrapper(gzip.open(REAL)) as file:
        rows = list(islice(csv.DictReader(file), 31 * 24))
    bars = tuple(PriceBar(START + timedelta(hours=n + 1), float(row["close"])) for n, row in enumerate(rows))
    closes = np.array([float(row["close"]) for row in rows])[-(days * 24 + 1) :]
    expected = float(np.sqrt(np.sum(np.diff(np.log(closes)) ** 2) / days * 365.0))
    assert volatility_of_days(Closes(bars), bars[-1].closed_at, days) == pytest.approx(expected, rel=1e-12)
