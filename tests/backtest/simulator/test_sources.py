"""What stands on a modelled figure: the error of the run's years, the share outside the fitted range, corrections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backtest import run
from backtest.historical.market import HistoricalMarket
from backtest.simulator.sources import SalesWatch, source_of
from backtest.surface.correction import Correction, Corrections
from paper_exchange.market.clocks import HOUR_MS
from tests.backtest.surface.histories import START, a_history, a_market, ms
from tests.builders.paper import SHARED

DATA = SHARED / "market_data"


def looked_at() -> HistoricalMarket:
    market = a_market(a_history(coins=("BTC",)))
    market.quotes("BTC")
    return market


def test_the_error_is_that_of_the_years_of_the_run() -> None:
    market = looked_at()
    assert "10.1 % (2021 and 2022, leave one month out, mean of months)" in source_of(market, {2022}).rung
    in_2023 = source_of(market, {2023}).rung
    assert "10.0 % (April 2023, flat DVOL 9 %)" in in_2023
    assert "2021" not in in_2023


def test_of_a_year_that_was_never_judged_all_errors_stand_there_and_it_says_so() -> None:
    told = source_of(looked_at(), {2024}).rung
    assert "10.1 % (2021 and 2022" in told
    assert "April 2023" in told
    assert told.endswith("not judged in 2024")


def test_the_share_of_quotes_outside_the_fitted_range_is_counted() -> None:
    market = looked_at()
    chain = market.chain("BTC")
    assert chain is not None
    source = source_of(market, {2026}, SalesWatch(market))
    assert source.extrapolated_fraction == pytest.approx(chain.model.is_extrapolated.mean())
    assert source.extrapolated is not None
    assert "0 of 0 sales" in source.extrapolated


def test_a_corrected_market_says_what_corrected_it() -> None:
    measured = Corrections([Correction(ms(START) - HOUR_MS, 0.1, 0.0, 0.0)], "option trades")
    plain = a_market(a_history(coins=("BTC",)))
    corrected = a_market(a_history(coins=("BTC",)), corrections={"BTC": measured})
    marks = [[quote.mark_iv_fraction for quote in market.quotes("BTC")] for market in (plain, corrected)]
    assert all(higher > lower for lower, higher in zip(*marks, strict=True))
    assert "BTC: level, slope and skew corrected by option trades in 1 chains" in source_of(corrected).rung


@pytest.mark.skipif(not DATA.exists(), reason="recorded quotes are not part of the project")
def test_recorded_quotes_with_dvol_have_the_modelled_ones_beside_them(tmp_path: Path) -> None:
    recording = ["--recording", str(DATA / "chains" / "ETH_2026-05.jsonl.gz"), "--end", "2026-05-04"]
    past = ["--candles", str(DATA / "spot"), "--dvol", str(DATA / "dvol")]
    assert run.main([*recording, *past, "--no-presets", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    modelled = summary["on_other_quotes"][0]
    assert summary["source"]["kind"] == "recorded"
    assert modelled["source"]["kind"] == "historical"
    assert modelled["decisions"] == summary["decisions"]
    assert "Real and modelled" in (tmp_path / "report.html").read_text()
