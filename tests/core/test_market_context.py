"""Returns, realised volatility, at-the-money IV, IV/RV, skew and regime: known by hand, unknown where data lack."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from core.chain import chain_of, listing_of, quotes_of
from core.context.year import Year
from core.market_context import (
    Closes,
    Smile,
    at_strike,
    atm_iv,
    closes_inside,
    iv_rv_ratio,
    market_snapshot,
    past_return,
    realised_volatility,
    skew_25_delta,
)
from core.pricing import black76_delta
from models import PriceBar
from tests.builders.configs import a_config
from tests.builders.states import NOW, a_call, a_chain, a_coin, a_quote, calm_bars, some_bars

WINDOW_DAYS, MIN_RETURNS = 30.0, 20
E_STEP = math.e**0.01  # one percent in logs
STRIKES = tuple(float(strike) for strike in range(60_000, 150_000, 1_000))


def volatility(bars: tuple[PriceBar, ...], window_days: float = WINDOW_DAYS, least: int = MIN_RETURNS) -> float | None:
    return realised_volatility(closes_inside(Closes(bars), NOW, window_days), least)


def zigzag(count: int, hours: float) -> tuple[PriceBar, ...]:
    """Closes whose every return is one percent in logs, up and down."""
    return some_bars((100.0 * E_STEP ** (n % 2) for n in range(count)), hours)


def a_smile(days: float = 30.0, atm: float = 0.5, slope: float = 0.0) -> Smile:
    """IV by strike around a forward of 100,000, straight in the strike."""
    return Smile(days, 100_000.0, STRIKES, tuple(atm + slope * (k / 100_000.0 - 1.0) for k in STRIKES))


# --- realised volatility -----------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1.0, 6.0])
def test_one_percent_a_step_is_one_percent_times_the_root_of_the_steps_in_a_year(hours: float) -> None:
    bars = zigzag(int(20 * 24 / hours) + 1, hours)
    assert volatility(bars) == pytest.approx(0.01 * math.sqrt(365 * 24 / hours), rel=1e-12)


def test_hourly_and_six_hourly_closes_of_one_path_agree() -> None:
    dice, closes = random.Random(7), [100.0]
    for _ in range(30 * 24):
        closes.append(closes[-1] * math.exp(dice.gauss(0.0, 0.5 / math.sqrt(365 * 24))))
    hourly, six_hourly = volatility(some_bars(closes)), volatility(some_bars(closes[::6], hours=6.0))
    assert hourly == pytest.approx(0.5, rel=0.06)
    assert six_hourly == pytest.approx(0.5, rel=0.15)


def test_a_gap_in_the_closes_counts_as_the_time_it_took() -> None:
    whole = zigzag(20 * 24 + 1, 1.0)
    broken = tuple(bar for n, bar in enumerate(whole) if not 100 <= n < 147)
    steps, days = len(broken) - 2, 20.0  # the bars on both sides of the gap closed at the same price
    assert volatility(broken) == pytest.approx(math.sqrt(steps * 0.01**2 / (days / 365.0)), rel=1e-9)


def test_with_one_return_fewer_than_asked_for_volatility_is_unknown() -> None:
    assert volatility(zigzag(21, 6.0)) is not None
    assert volatility(zigzag(20, 6.0)) is None
    assert volatility(()) is None


def test_less_than_half_a_day_of_closes_says_nothing_however_many_they_are() -> None:
    assert volatility(zigzag(25, 0.5)) is not None
    assert volatility(zigzag(24, 0.5)) is None
    assert volatility(zigzag(500, 1.0 / 60.0)) is None


def test_only_closes_inside_the_window_and_not_from_the_future_count() -> None:
    wild = some_bars((100.0 * 2.0 ** (n % 2) for n in range(10)), 24.0, NOW - timedelta(days=31))
    future = some_bars((1.0, 1_000.0), 1.0, NOW + timedelta(hours=2))
    calm = zigzag(20 * 24 + 1, 1.0)
    assert volatility(wild + calm + future) == volatility(calm)


def test_a_price_that_does_not_move_has_no_volatility_and_no_ratio() -> None:
    assert volatility(some_bars([100.0] * 200)) == 0.0
    assert iv_rv_ratio(0.5, 0.0) is None


@pytest.mark.parametrize(("iv", "rv"), [(None, 0.4), (0.5, None), (None, None)])
def test_the_ratio_is_unknown_while_either_part_is(iv: float | None, rv: float | None) -> None:
    assert iv_rv_ratio(iv, rv) is None


def test_the_ratio_is_implied_over_realised() -> None:
    assert iv_rv_ratio(0.6, 0.4) == pytest.approx(1.5)


# --- at-the-money IV ------------------------------------------------------------------------------


def test_iv_between_two_strikes_is_on_the_straight_line_and_flat_outside() -> None:
    smile = Smile(30.0, 100.0, (90.0, 110.0), (0.6, 0.4))
    assert at_strike(smile) == pytest.approx(0.5)
    assert at_strike(smile, 95.0) == pytest.approx(0.55)
    assert (at_strike(smile, 80.0), at_strike(smile, 200.0)) == (0.6, 0.4)


def test_iv_between_two_expiries_is_linear_in_total_variance() -> None:
    near, far = a_smile(20.0, atm=0.4), a_smile(60.0, atm=0.8)
    # variance x days: 3.2 at 20, 38.4 at 60, so 12.0 at 30 days
    assert atm_iv([far, near]) == pytest.approx(math.sqrt(12.0 / 30.0))


def test_an_expiry_at_the_tenor_itself_stands_alone() -> None:
    assert atm_iv([a_smile(30.0, atm=0.45), a_smile(60.0, atm=0.9)]) == pytest.approx(0.45)


def test_outside_the_listed_expiries_the_nearest_one_stands() -> None:
    assert atm_iv([a_smile(5.0, atm=0.4), a_smile(20.0, atm=0.5)]) == pytest.approx(0.5)
    assert atm_iv([a_smile(45.0, atm=0.6), a_smile(90.0, atm=0.9)]) == pytest.approx(0.6)


def test_without_a_usable_smile_at_the_money_iv_is_unknown() -> None:
    assert atm_iv([]) is None
    assert atm_iv([Smile(30.0, 100.0, (), ())]) is None
    assert atm_iv([a_smile(0.0)]) is None


# --- skew -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "sign"), [(-0.3, -1), (0.3, 1)])
def test_skew_is_negative_where_low_strikes_cost_more(slope: float, sign: int) -> None:
    skew = skew_25_delta(a_smile(slope=slope))
    assert skew is not None
    assert math.copysign(1, skew) == sign


def test_skew_is_the_iv_of_the_25_delta_call_less_that_of_the_25_delta_put() -> None:
    smile = a_smile(slope=-0.2)
    deltas = {black76_delta(100_000.0, strike, at_strike(smile, strike), 30.0 / 365.0): strike for strike in STRIKES}
    call, put = (deltas[min(deltas, key=lambda delta: abs(delta - wanted))] for wanted in (0.25, 0.75))
    assert skew_25_delta(smile) == pytest.approx(at_strike(smile, call) - at_strike(smile, put), abs=0.002)
    assert skew_25_delta(a_smile()) == 0.0


def test_skew_is_unknown_where_the_strikes_do_not_reach_both_deltas() -> None:
    only_high = Smile(30.0, 100_000.0, (105_000.0, 110_000.0, 130_000.0), (0.5, 0.5, 0.5))
    only_low = Smile(30.0, 100_000.0, (60_000.0, 70_000.0), (0.5, 0.5))
    assert skew_25_delta(only_high) is None
    assert skew_25_delta(only_low) is None
    assert skew_25_delta(Smile(30.0, 100_000.0, (), ())) is None


def test_an_iv_too_small_for_any_time_value_is_no_error() -> None:
    smallest = 5e-324  # times the root of the time left it is 0
    smile = Smile(30.0, 100_000.0, (90_000.0, 95_000.0, 110_000.0), (smallest, smallest, smallest))
    assert skew_25_delta(smile) == 0.0


# --- returns and regime ---------------------------------------------------------------------------


def test_a_return_is_from_the_last_close_at_least_that_old() -> None:
    bars = some_bars([80.0, 90.0, 100.0], hours=24.0)
    assert past_return(Closes(bars), NOW, 99.0, 1.0) == pytest.approx(0.1)
    assert past_return(Closes(bars), NOW, 99.0, 1.5) == pytest.approx(0.2375)


def test_a_return_is_unknown_where_history_does_not_reach_back() -> None:
    bars = some_bars([80.0, 90.0], hours=24.0)
    assert past_return(Closes(bars), NOW, 99.0, 1.0) is not None
    assert past_return(Closes(bars), NOW, 99.0, 1.001) is None
    assert past_return(Closes(()), NOW, 99.0, 1.0) is None


# --- one coin's snapshot ---------------------------------------------------------------------------


def test_a_snapshot_holds_every_figure_of_the_coin() -> None:
    found = market_snapshot(a_coin(bars=calm_bars(), dvol_fraction=0.55), NOW, a_config())
    assert (found.spot_usd, found.dvol_fraction, found.option_count) == (100_000.0, 0.55, 1)
    assert found.rv_fraction == pytest.approx(math.log(1.003) * math.sqrt(365 * 24))
    assert found.iv_rv_ratio == pytest.approx(0.5 / (math.log(1.003) * math.sqrt(365 * 24)))
    assert (found.return_7d_fraction, found.return_30d_fraction) == (0.0, 0.0)
    assert found.rv_7d_fraction == pytest.approx(found.rv_30d_fraction)
    # Of the two hourly prices of a zigzag the range of a day is one step: ln(1.003)^2 / (4 ln 2) a day.
    assert found.rv_7d_range_fraction == pytest.approx(math.log(1.003) * math.sqrt(365.0 / (4.0 * math.log(2.0))))


@pytest.mark.parametrize(("hours", "count", "days"), [(1.0, 30 * 24 + 1, 30.0), (6.0, 21, 5.0), (1.0, 100 * 24, 30.0)])
def test_a_snapshot_says_how_many_days_are_behind_its_volatility(hours: float, count: int, days: float) -> None:
    found = market_snapshot(a_coin(bars=zigzag(count, hours)), NOW, a_config())
    assert found.rv_days == days


def test_what_cannot_be_known_is_none_and_never_zero() -> None:
    blind = a_call(mark_iv_fraction=None)
    found = market_snapshot(a_coin(blind, bars=(), dvol_fraction=None), NOW, a_config())
    figures = found.model_dump(exclude={"underlying", "spot_usd", "option_count", "unknown"})
    assert set(figures.values()) == {None}
    of_the_closes = {"rv_days", "rv_source"}  # which rv_fraction's reason speaks for
    assert {reason.rule for reason in found.unknown} == figures.keys() - of_the_closes


def test_a_figure_that_is_none_says_what_is_missing() -> None:
    found = market_snapshot(a_coin(bars=some_bars([100_000.0] * 49), dvol_fraction=0.5), NOW, a_config())
    reasons = {reason.rule: reason.text for reason in found.unknown}
    assert found.return_1d_fraction == 0.0
    assert reasons["return_7d_fraction"] == reasons["rv_30d_fraction"] == "closes reach back 2.0 days"
    assert reasons["iv_rank_fraction"] == "DVOL of 0 days, 330 are needed"
    assert reasons["regime"] == "closes of 0 of the last 364 days"


def test_the_term_slope_is_the_iv_at_thirty_days_less_that_at_seven() -> None:
    ivs = {5: 0.7, 9: 0.7, 25: 0.5, 35: 0.5}
    calls = [a_call(expiry=NOW + timedelta(days=days), mark_iv_fraction=iv) for days, iv in ivs.items()]
    found = market_snapshot(a_coin(*calls), NOW, a_config())
    assert found.term_slope_fraction == pytest.approx(-0.2)


@pytest.mark.parametrize("is_quoted", [True, False])
@pytest.mark.parametrize(("silent", "iv"), [((5, 9), 0.5), ((25, 35), None)])
def test_no_expiry_further_away_stands_for_those_around_a_tenor_that_have_no_mark(
    silent: tuple[int, int], iv: float | None, is_quoted: bool
) -> None:
    marks = {days: None if days in silent else 0.5 for days in (5, 9, 25, 35)}
    calls = [a_call(expiry=NOW + timedelta(days=days), mark_iv_fraction=mark) for days, mark in marks.items()]
    shown = quotes_of([quote for _, quote in calls if is_quoted or quote.mark_iv_fraction is not None])
    chain = chain_of(shown, listing_of({option.symbol: option for option, _ in calls}))
    found = market_snapshot(replace(a_coin(), chain=chain), NOW, a_config())
    assert (found.atm_iv_fraction, found.term_slope_fraction) == (iv, None)
    assert (found.forward_usd is None) == (iv is None)


def test_a_smile_is_read_by_strike_in_whatever_order_the_exchange_names_its_options() -> None:
    marks = {(days, strike): 0.4 + days / 1_000.0 + strike / 1e6 for days in (7, 35) for strike in STRIKES}
    calls = [
        a_call(expiry=NOW + timedelta(days=days), strike=strike, mark_iv_fraction=iv)
        for (days, strike), iv in marks.items()
    ]
    in_order = market_snapshot(a_coin(*calls), NOW, a_config())
    random.Random(3).shuffle(calls)
    assert in_order.skew_25d_fraction is not None
    assert market_snapshot(a_coin(*calls), NOW, a_config()) == in_order


def test_a_snapshot_takes_regime_and_rank_from_the_year() -> None:
    days = some_bars([80_000.0] * 364, hours=24.0, end=NOW - timedelta(hours=12))
    dvol = some_bars([0.4] * 200 + [0.8] * 164, hours=24.0, end=NOW - timedelta(hours=12))
    found = market_snapshot(a_coin(year=Year(days, dvol), dvol_fraction=0.5), NOW, a_config())
    assert found.regime == "bull"  # spot is at 100,000
    assert found.iv_rank_fraction == pytest.approx(0.25)


def test_expired_options_puts_and_unknown_symbols_say_nothing_about_iv() -> None:
    expired = a_call(expiry=NOW, mark_iv_fraction=0.9)
    put = a_call(option_type="put", mark_iv_fraction=0.9)
    stranger = a_quote(mark_iv_fraction=0.9)
    coin = a_coin(chain=a_chain(expired, put, unlisted=[stranger]))
    assert market_snapshot(coin, NOW, a_config()).atm_iv_fraction is None


def test_atm_iv_comes_from_the_two_expiries_around_thirty_days() -> None:
    ivs = {10: 0.9, 25: 0.5, 35: 0.5, 60: 0.9}
    calls = [a_call(expiry=NOW + timedelta(days=days), mark_iv_fraction=iv) for days, iv in ivs.items()]
    assert market_snapshot(a_coin(*calls), NOW, a_config()).atm_iv_fraction == pytest.approx(0.5)


def test_a_shorter_window_of_the_settings_is_used() -> None:
    quiet_then_wild = some_bars([100.0] * (25 * 24) + [100.0 * E_STEP ** (n % 2) for n in range(5 * 24 + 1)])
    short = market_snapshot(a_coin(bars=quiet_then_wild), NOW, a_config(run={"rv_window_days": 5}))
    assert short.rv_fraction == pytest.approx(0.01 * math.sqrt(365 * 24), rel=0.01)
