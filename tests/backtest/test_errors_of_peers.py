"""Mistakes that published backtests of crypto options have made, each with the figure it would have given here.

A premium of an inverse option valued as one over its price; a yearly volatility scaled by the days that are left; legs
of one spread settled on different prints.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.pricing import black76_price_coin, payoff_coin
from tests.builders.paper import HOUR_SECONDS, account_on, market_with, place, record_events

SPOT_USD, STRIKE_USD, IV_FRACTION, DAYS = 90_000.0, 95_000.0, 0.6, 7.0
YEARS = DAYS / 365.0
NEAR, FAR = "BTC-6JAN26-95000-C", "BTC-6JAN26-98000-C"


def premium_coin(iv_fraction: float = IV_FRACTION, years: float = YEARS) -> float:
    return black76_price_coin(SPOT_USD, STRIKE_USD, iv_fraction, years)


def test_a_premium_in_coin_is_its_dollars_over_the_spot_and_not_one_over_its_price() -> None:
    """An inverse future pays 1 / P; an inverse option's price is already in coin."""
    value_usd = premium_coin() * SPOT_USD
    assert premium_coin() == pytest.approx(value_usd / SPOT_USD)
    assert 0.0 < premium_coin() < 0.05
    assert 1.0 / value_usd < premium_coin() / 10.0
    assert 1.0 / premium_coin() > 10.0


@pytest.mark.parametrize("delivery_usd", [95_001.0, 120_000.0, 1e9])
def test_an_inverse_call_never_pays_more_than_its_coin(delivery_usd: float) -> None:
    """Its payoff in coin is (P - K) / P at the delivery price, neither (P - K) / S at entry nor 1 / K - 1 / P."""
    paid = payoff_coin(delivery_usd, STRIKE_USD)
    assert paid == pytest.approx((delivery_usd - STRIKE_USD) / delivery_usd)
    assert paid < 1.0
    assert paid != pytest.approx((delivery_usd - STRIKE_USD) / SPOT_USD)
    assert paid == pytest.approx(STRIKE_USD * (1.0 / STRIKE_USD - 1.0 / delivery_usd))


def summed_premium_coin() -> float:
    """The call's mean payoff in USD over the forward, summed over ends whose logarithm moved IV x root of the years."""
    z = np.linspace(-8.0, 8.0, 16_001)
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    ends = SPOT_USD * np.exp(z * IV_FRACTION * math.sqrt(YEARS) - 0.5 * IV_FRACTION**2 * YEARS)
    return float((np.maximum(ends - STRIKE_USD, 0.0) * density).sum() * (z[1] - z[0]) / SPOT_USD)


def test_volatility_is_of_a_year_and_scaled_by_the_years_that_are_left_once() -> None:
    assert premium_coin() == pytest.approx(summed_premium_coin(), rel=1e-5)
    scaled_twice = premium_coin(iv_fraction=IV_FRACTION * math.sqrt(YEARS))
    scaled_by_days = premium_coin(iv_fraction=IV_FRACTION * math.sqrt(DAYS))
    assert scaled_twice < premium_coin() / 100.0
    assert scaled_by_days > 4.0 * premium_coin()


def test_days_are_calendar_days_of_a_year_of_365() -> None:
    assert premium_coin(years=DAYS / 252.0) > 1.1 * summed_premium_coin()


@pytest.mark.parametrize("delivery_usd", [96_000.0, 97_999.0, 98_001.0, 110_000.0])
def test_legs_of_one_expiry_settle_on_one_print(delivery_usd: float) -> None:
    """A spread then pays between nothing and the distance of its strikes; on two prints it may pay anything."""
    market = market_with(NEAR, bid=0.01, ask=0.0105)
    market.show(FAR, 0.004, 0.0045)
    account = account_on(market)
    place(account, "sell", 1.0, 0.01, NEAR)
    place(account, "buy", 1.0, 0.0045, FAR)
    events = record_events(account)
    market.deliver(NEAR, delivery_usd)
    market.sleep_until_expiry(NEAR, seconds_after=HOUR_SECONDS)
    account.advance()
    payoffs = {event.instrument_name: event.price_coin for event in events if event.kind == "settlement"}
    near, far = payoffs[NEAR], payoffs[FAR]
    assert near is not None
    assert far is not None
    assert 0.0 <= near - far <= 3_000.0 / delivery_usd + 1e-12
    assert near == pytest.approx(payoff_coin(delivery_usd, 95_000.0))
    assert far == pytest.approx(payoff_coin(delivery_usd, 98_000.0))
