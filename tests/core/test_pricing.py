"""Deribit's formulas: Black-76 and its greeks, fees, margin, payoff, ticks and steps, checked by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.pricing import (
    SECONDS_PER_YEAR,
    black76_delta,
    black76_greeks,
    black76_price_coin,
    days_between,
    delivery_fee_coin,
    floor_to_step,
    is_multiple_of_step,
    is_on_tick,
    normal_cdf,
    open_sell_call_margin_coin,
    payoff_coin,
    round_price_down,
    round_price_up,
    short_call_initial_margin_coin,
    short_call_maintenance_margin_coin,
    short_put_initial_margin_coin,
    short_put_maintenance_margin_coin,
    tick_size_at,
    trade_fee_coin,
    years_between,
)
from tests.builders.states import NOW, TICK_STEPS

FORWARD_USD = 100_000.0
MONTH = 30.0 / 365.0
STRIKES_USD = (60_000.0, 95_000.0, 100_000.0, 120_000.0, 200_000.0)


def value_usd(forward: float, strike: float, iv: float, years: float, is_call: bool) -> float:
    return forward * black76_price_coin(forward, strike, iv, years, is_call)


# --- time --------------------------------------------------------------------------------------


def test_a_year_has_365_days_and_the_past_counts_negative() -> None:
    assert years_between(NOW, NOW + timedelta(days=365)) == 1.0
    assert days_between(NOW, NOW - timedelta(hours=12)) == -0.5
    assert SECONDS_PER_YEAR == 31_536_000.0


# --- Black-76 ------------------------------------------------------------------------------------


def test_the_normal_distribution_is_as_in_the_tables() -> None:
    assert normal_cdf(0.0) == 0.5
    assert normal_cdf(1.96) == pytest.approx(0.9750021, abs=1e-7)
    assert normal_cdf(-8.0) == pytest.approx(6.22e-16, rel=1e-2)  # no cancellation far out


def test_a_price_worked_out_by_hand() -> None:
    # F = K, iv 50 %, one year: d1 = 0.25, value / F = 2 N(0.25) - 1
    assert black76_price_coin(100.0, 100.0, 0.5, 1.0) == pytest.approx(0.19741265, abs=1e-8)


@pytest.mark.parametrize("strike", STRIKES_USD)
@pytest.mark.parametrize("iv", [0.05, 0.5, 2.0])
def test_call_less_put_is_forward_less_strike(strike: float, iv: float) -> None:
    call = black76_price_coin(FORWARD_USD, strike, iv, MONTH)
    put = black76_price_coin(FORWARD_USD, strike, iv, MONTH, is_call=False)
    assert call - put == pytest.approx((FORWARD_USD - strike) / FORWARD_USD, abs=1e-12)


@pytest.mark.parametrize(("iv", "years"), [(0.0, MONTH), (5e-324, MONTH), (0.5, 0.0), (0.5, -0.01)])
def test_without_time_or_volatility_an_option_is_worth_its_intrinsic_value(iv: float, years: float) -> None:
    assert black76_price_coin(100.0, 80.0, iv, years) == 0.2
    assert black76_price_coin(100.0, 120.0, iv, years) == 0.0
    assert black76_price_coin(100.0, 120.0, iv, years, is_call=False) == 0.2
    assert black76_delta(100.0, 80.0, iv, years) == 1.0
    assert black76_delta(100.0, 120.0, iv, years, is_call=False) == -1.0
    assert black76_greeks(100.0, 120.0, iv, years)[1:] == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("strike", STRIKES_USD)
def test_the_delta_of_a_put_is_the_calls_less_one(strike: float) -> None:
    call = black76_delta(FORWARD_USD, strike, 0.5, MONTH)
    assert black76_delta(FORWARD_USD, strike, 0.5, MONTH, is_call=False) == call - 1.0
    assert 0.0 <= call <= 1.0


def test_the_delta_of_a_call_falls_with_its_strike() -> None:
    deltas = [black76_delta(FORWARD_USD, strike, 0.5, MONTH) for strike in STRIKES_USD]
    assert deltas == sorted(deltas, reverse=True)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [95_000.0, 100_000.0, 120_000.0])
def test_greeks_agree_with_finite_differences(strike: float, is_call: bool) -> None:
    def usd(forward: float = FORWARD_USD, iv: float = 0.5, years: float = MONTH) -> float:
        return value_usd(forward, strike, iv, years, is_call)

    greeks, day = black76_greeks(FORWARD_USD, strike, 0.5, MONTH, is_call), 1.0 / 365.0
    assert greeks.delta == pytest.approx((usd(FORWARD_USD + 1) - usd(FORWARD_USD - 1)) / 2, abs=1e-7)
    assert greeks.gamma == pytest.approx(usd(FORWARD_USD + 1) - 2 * usd() + usd(FORWARD_USD - 1), abs=1e-8)
    assert greeks.vega == pytest.approx((usd(iv=0.5001) - usd(iv=0.4999)) / 0.0002 / 100.0, rel=1e-6)
    slope = (usd(years=MONTH + day / 1000) - usd(years=MONTH - day / 1000)) / (day / 500)
    assert greeks.theta == pytest.approx(-slope * day, rel=1e-5)


def test_rho_is_strike_times_years_times_the_chance_of_exercise() -> None:
    # r = 0: at the money, one year, iv 50 %: d2 = -0.25, N(d2) = 0.40129367
    call, put = (black76_greeks(100.0, 100.0, 0.5, 1.0, is_call).rho for is_call in (True, False))
    assert call == pytest.approx(0.40129367, abs=1e-7)
    assert put == pytest.approx(-0.59870633, abs=1e-7)


def test_theta_never_takes_more_in_a_day_than_the_option_is_worth() -> None:
    last_hour = 1.0 / 24.0 / 365.0
    greeks = black76_greeks(FORWARD_USD, 100_500.0, 0.5, last_hour)
    assert greeks.theta == -value_usd(FORWARD_USD, 100_500.0, 0.5, last_hour, True)


# --- payoff and fees -------------------------------------------------------------------------------


def test_a_call_pays_the_difference_in_coin_and_never_less_than_nothing() -> None:
    assert payoff_coin(125_000.0, 100_000.0) == 0.2
    assert payoff_coin(100_000.0, 100_000.0) == 0.0
    assert payoff_coin(80_000.0, 100_000.0) == 0.0
    assert payoff_coin(80_000.0, 100_000.0, is_call=False) == 0.25
    assert payoff_coin(125_000.0, 100_000.0, is_call=False) == 0.0


@pytest.mark.parametrize(("price", "fee"), [(0.0008, 0.0001), (0.0024, 0.0003), (0.0025, 0.0003), (0.0, 0.0)])
def test_the_trade_fee_is_capped_at_an_eighth_of_the_premium(price: float, fee: float) -> None:
    assert trade_fee_coin(price, 1.0) == pytest.approx(fee, abs=1e-15)
    assert trade_fee_coin(price, 0.3) == pytest.approx(0.3 * fee, abs=1e-15)


@pytest.mark.parametrize(("payoff", "fee"), [(0.0008, 0.0001), (0.0012, 0.00015), (0.2, 0.00015), (0.0, 0.0)])
def test_the_delivery_fee_is_half_the_trade_fee_with_the_same_cap(payoff: float, fee: float) -> None:
    assert delivery_fee_coin(payoff, 2.0) == pytest.approx(2.0 * fee, abs=1e-15)


# --- margin: the recorded numbers of Deribit ----------------------------------------------------------


def test_short_call_margins_are_those_deribit_reported() -> None:
    # ETH-25AUG23-2100-C, size -1: the strike is 11.6 % away, so the floor of 10 % binds
    assert short_call_initial_margin_coin(1882.4, 2100.0, 0.017497423) == pytest.approx(0.117497423, abs=1e-12)
    assert short_call_maintenance_margin_coin(0.017497423) == pytest.approx(0.092497423, abs=1e-12)
    # BTC-9NOV21-68000-C, size -0.1: 3.2 % away, so 15 % less the distance
    assert 0.1 * short_call_initial_margin_coin(65903.94, 68000.0, 0.00166267) == pytest.approx(0.011985789, abs=1e-9)
    assert 0.1 * short_call_maintenance_margin_coin(0.00166267) == pytest.approx(0.007666267, abs=1e-12)


def test_a_resting_sell_order_holds_the_margin_deribit_reported() -> None:
    assert 0.1 * open_sell_call_margin_coin(65903.94, 68000.0) == pytest.approx(0.011849523, abs=1e-9)
    assert 0.1 * open_sell_call_margin_coin(41590.34, 43000.0) == pytest.approx(0.011640607, abs=1e-9)


def test_short_put_margins_are_those_deribit_reported() -> None:
    assert 0.3 * short_put_initial_margin_coin(41590.34, 38000.0, 0.0003993) == pytest.approx(0.030119789, abs=2e-9)
    assert 0.1 * short_put_maintenance_margin_coin(0.00337952) == pytest.approx(0.007837952, abs=1e-9)


@pytest.mark.parametrize(
    ("strike", "base"), [(90_000.0, 0.15), (100_000.0, 0.15), (103_000.0, 0.12), (105_000.0, 0.10), (150_000.0, 0.10)]
)
def test_call_margin_falls_from_15_percent_at_the_money_to_10_percent(strike: float, base: float) -> None:
    assert short_call_initial_margin_coin(100_000.0, strike, 0.02) == pytest.approx(base + 0.02, abs=1e-12)


def test_the_initial_margin_of_a_put_is_never_below_its_maintenance_margin() -> None:
    assert short_put_maintenance_margin_coin(2.0) == 2.15
    assert short_put_initial_margin_coin(100.0, 60.0, 2.0) == 2.15


# --- ticks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "tick"), [(0.0001, 0.0001), (0.005, 0.0001), (0.0051, 0.0005), (0.2, 0.0005)])
def test_the_tick_grows_above_five_thousandths_not_at_it(price: float, tick: float) -> None:
    assert tick_size_at(price, 0.0001, TICK_STEPS) == tick


def test_steps_may_come_in_any_order_and_without_steps_there_is_one_tick() -> None:
    assert tick_size_at(60.0, 0.2, ((50.0, 1.0), (10.0, 0.5))) == 1.0
    assert tick_size_at(20.0, 0.2, ((50.0, 1.0), (10.0, 0.5))) == 0.5
    assert tick_size_at(0.2, 0.0001) == 0.0001


@pytest.mark.parametrize(
    ("price", "up", "down"),
    [
        (0.00311, 0.0032, 0.0031),
        (0.0031, 0.0031, 0.0031),
        (0.00499, 0.005, 0.0049),
        (0.005, 0.005, 0.005),
        (0.00501, 0.0055, 0.005),
        (0.0052, 0.0055, 0.005),
        (0.0301, 0.0305, 0.03),
        (0.00004, 0.0001, 0.0),
    ],
)
def test_sells_round_up_and_buys_round_down_to_the_tick(price: float, up: float, down: float) -> None:
    assert round_price_up(price, 0.0001, TICK_STEPS) == up
    assert round_price_down(price, 0.0001, TICK_STEPS) == down


@pytest.mark.parametrize("ticks", range(1, 51))
def test_the_noise_of_float_arithmetic_never_moves_a_price_by_a_tick(ticks: int) -> None:
    clean = round(ticks * 0.0001, 4)
    for noisy in (ticks * 0.0001, clean * (1.0 + 3e-16), clean * (1.0 - 3e-16), 0.3 * clean + 0.7 * clean):
        assert round_price_up(noisy, 0.0001, TICK_STEPS) == clean
        assert round_price_down(noisy, 0.0001, TICK_STEPS) == clean


def test_the_middle_of_two_quotes_on_the_grid_is_sold_at_and_not_above() -> None:
    middle = (0.0011 + 0.0013) / 2
    assert middle != 0.0012
    assert round_price_up(middle, 0.0001, TICK_STEPS) == 0.0012


@pytest.mark.parametrize(
    ("price", "accepted"), [(0.0031, True), (0.005, True), (0.0051, False), (0.0055, True), (0.00315, False)]
)
def test_only_prices_on_the_tick_are_accepted(price: float, accepted: bool) -> None:
    assert is_on_tick(price, 0.0001, TICK_STEPS) is accepted


# --- steps of amounts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "step", "floored"),
    [(0.35, 0.1, 0.3), (0.3, 0.1, 0.3), (0.09, 0.1, 0.0), (-0.3, 0.1, 0.0), (7.9, 1.0, 7.0), (1e-5, 1e-5, 1e-5)],
)
def test_amounts_are_cut_to_whole_steps_and_never_below_zero(amount: float, step: float, floored: float) -> None:
    assert floor_to_step(amount, step) == floored


def test_the_noise_of_float_arithmetic_never_costs_a_step() -> None:
    assert floor_to_step(0.1 + 0.2, 0.1) == 0.3
    assert floor_to_step(1.0 - 0.9, 0.1) == 0.1  # 0.09999999999999998


@pytest.mark.parametrize(("amount", "whole"), [(0.3, True), (0.25, False), (1.0, True), (0.05, False), (12.3, True)])
def test_an_amount_is_a_multiple_of_the_step_or_it_is_not(amount: float, whole: bool) -> None:
    assert is_multiple_of_step(amount, 0.1) is whole
