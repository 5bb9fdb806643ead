"""Corrections by chains and trades: measured, shrunk, decayed; and the coefficient files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backtest.surface.coefficients import SHIPPED, SurfaceError, read_surfaces, write_surfaces
from backtest.surface.correction import Correction, Corrections, Residuals, correction_from, remaining_share
from backtest.surface.guard import smile_strength
from backtest.surface.observed import OptionTrades, standing_correction, trades_correction
from backtest.surface.shape import Options, implied_volatility, term_columns
from backtest.surface.spread import (
    OLD_ERA,
    STEPS_ERA,
    SpreadLaw,
    TickEra,
    quotes_around,
    spreads,
    tick_columns,
    tick_era,
)
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from tests.backtest.surface.histories import INDEX_USD, START, a_history, ms

LAW = SpreadLaw(0.0077, 0.489, -0.105, 0.35)


def residuals(level: float, slope: float, skew: float, count: int) -> Residuals:
    dice = np.random.default_rng(3)
    tenor, moneyness = dice.uniform(-2.5, 0.2, count), dice.uniform(0.2, 1.5, count)
    return Residuals(level + slope * tenor + skew * moneyness, tenor, moneyness, np.ones(count))


def test_many_quotes_give_level_slope_and_skew_back() -> None:
    found = correction_from(residuals(0.06, 0.02, -0.03, 400), 0)
    assert (found.level, found.slope, found.skew) == pytest.approx((0.06, 0.02, -0.03), abs=0.004)


def test_three_trades_are_believed_only_in_part() -> None:
    found = correction_from(residuals(0.10, 0.0, 0.0, 3), 0)
    assert 0.02 < found.level < 0.09


def test_one_absurd_trade_among_thirty_changes_little() -> None:
    usual = residuals(0.05, 0.0, 0.0, 30)
    absurd = Residuals(np.append(usual.residual[:-1], 2.0), usual.tenor, usual.moneyness, usual.weights)
    assert correction_from(absurd, 0).level == pytest.approx(correction_from(usual, 0).level, abs=0.04)


def test_a_correction_decays_over_a_week_and_is_gone_after_four() -> None:
    assert remaining_share(0.0) == 1.0
    assert remaining_share(7.0) < 0.35
    assert remaining_share(28.1) == 0.0


def test_a_correction_is_not_there_before_it_was_measured() -> None:
    history = a_history().history("BTC")
    corrections = Corrections([Correction(ms(START), 0.1, 0.0, 0.0)])
    assert standing_correction(corrections, history, ms(START) - 1, "hour") is None
    now = standing_correction(corrections, history, ms(START), "hour")
    assert now is not None
    assert now.level == pytest.approx(0.1)


def test_on_daily_dvol_what_the_close_has_caught_up_with_is_taken_out() -> None:
    history = a_history(hourly_dvol=False).history("BTC")
    used = float(history.conditions_at(ms(START)).dvol[0])
    corrections = Corrections([Correction(ms(START), 0.1, 0.0, 0.0, dvol=used)])
    later = ms(START, days=1)
    found = standing_correction(corrections, history, later, "day")
    moved = np.log(history.dvol_in_hindsight(ms(START), later) / used)
    assert moved != 0.0
    assert found is not None
    assert found.level == pytest.approx(remaining_share(1.0) * (0.1 - moved))


def test_trades_above_the_model_lift_its_level() -> None:
    history, book, at_ms = a_history().history("BTC"), read_surfaces(), ms(START)
    index = np.full(40, INDEX_USD["BTC"])
    times = np.linspace(at_ms - 5 * HOUR_MS, at_ms - 1, 40).astype(np.int64)
    options = Options(index, index * np.tile([1.03, 1.06, 1.09, 1.12], 10), np.full(40, float(at_ms + 10 * DAY_MS)))
    surface, now = book.named("BTC hour all years"), history.conditions_at(times)
    model = implied_volatility(term_columns(now, options, times), now.dvol, surface.coefficients(), surface.cap)
    trades = OptionTrades(times, index, options.strikes_usd, options.expires_at_ms, 1.08 * model)
    found = trades_correction(trades, at_ms, history, book, "BTC")
    assert found is not None
    tenor = np.log(10.0 / 30.0)
    assert found.level + found.slope * tenor + found.skew * 0.9 == pytest.approx(np.log(1.08), abs=0.02)
    assert trades_correction(trades, at_ms + 2 * DAY_MS, history, book, "BTC") is None


# --- guard and spread ----------------------------------------------------------------


def test_the_guard_leaves_a_usual_smile_whole_and_flattens_an_impossible_one() -> None:
    one = np.ones(1)
    assert smile_strength(one, 0.08 * one, -0.12 * one, 0.12 * one)[0] == 1.0
    assert smile_strength(one, 0.08 * one, -0.12 * one, 0.60 * one)[0] < 1.0
    assert smile_strength(one, 0.08 * one, 0.0 * one, 0.0 * one)[0] == 1.0


def test_ticks_were_wide_at_every_price_until_2023() -> None:
    assert tick_era(1_700_000_000_000) == OLD_ERA
    assert tick_era(1_704_067_199_999) == OLD_ERA
    assert tick_era(1_704_067_200_000) == STEPS_ERA
    ticks = tick_columns(np.array([1_704_067_199_999, 1_704_067_200_000]))
    assert ticks.fine.tolist() == [OLD_ERA.fine, STEPS_ERA.fine]
    assert np.isinf(ticks.above).tolist() == np.isnan(ticks.wide).tolist() == [True, False]
    assert ((ticks.above[1], ticks.wide[1]),) == STEPS_ERA.steps
    assert OLD_ERA.steps == ()


@pytest.mark.parametrize("era", [OLD_ERA, STEPS_ERA])
def test_a_spread_is_two_ticks_at_least_and_a_bid_below_a_tick_is_none(era: TickEra) -> None:
    mids = np.array([0.00005, 0.0004, 0.004, 0.02, 0.1])
    spread = spreads(LAW, mids, np.full(5, 7.0), era, np.full(5, -3.0))
    bids, asks = quotes_around(mids, spread, era)
    assert spread == pytest.approx(2.0 * era.ticks(mids))
    assert np.isnan(bids[0])
    assert (asks[~np.isnan(bids)] > bids[~np.isnan(bids)]).all()


# --- files ------------------------------------------------------------------------------


def test_the_shipped_file_is_read_and_written_the_same(tmp_path: Path) -> None:
    book = read_surfaces()
    write_surfaces(book, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == SHIPPED.read_text()
    assert [found.name for found in book.of("BTC", "hour")][:2] == ["BTC hour all years", "BTC hour 2026"]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "source": "", "sets": []}', '{"source": "", "sets": []}'])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "surface_BTC.json"
    path.write_text(text)
    with pytest.raises(SurfaceError, match="surface_BTC"):
        read_surfaces(path)


def test_a_set_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(SurfaceError, match="BTC hour all years"):
        read_surfaces().named("BTC hour 1999")
