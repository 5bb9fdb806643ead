"""Deribit's option formulas: Black-76, fees, standard margin, payoff, ticks and steps.

In and out: plain numbers. Prices of an option are in coin (BTC or ETH) per contract of one coin, strikes and
forwards in USD, implied volatility as a fraction (0.65 = 65 %), time in years of 365 days. A formula whose arguments
are of the type Number takes whole columns as well, and gives the same in each row.
Pure: no network, no disk, no clock. The agent and the paper exchange share this module and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

from core.columns import Number, each, rounded, smaller, square_root, where_above

SECONDS_PER_DAY = 86_400.0
SECONDS_PER_YEAR = 365.0 * SECONDS_PER_DAY

TRADE_FEE_COIN = 0.0003
DELIVERY_FEE_COIN = 0.00015
FEE_CAP_FRACTION = 0.125

TickSteps = Sequence[tuple[float, float]]


class Greeks(NamedTuple):
    """Per contract of one coin, in Deribit's units.

    delta: N(d1) for a call. gamma: per USD. vega: USD per volatility point. theta: USD per day.
    rho: USD per percent point of interest.
    """

    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


# --- time --------------------------------------------------------------------


def days_between(start: datetime, end: datetime) -> float:
    """Days from start to end, negative when end lies before start."""
    return (end - start).total_seconds() / SECONDS_PER_DAY


def years_between(start: datetime, end: datetime) -> float:
    """Years of 365 days from start to end: the T of Deribit's mark prices."""
    return (end - start).total_seconds() / SECONDS_PER_YEAR


# --- Black-76 ----------------------------------------------------------------


def normal_cdf(x: Number) -> Number:
    """Standard normal distribution function."""
    return 0.5 * each(math.erfc, -x / math.sqrt(2.0))


def _normal_density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _d1(forward_usd: Number, strike_usd: Number, iv_fraction: Number, years: Number) -> Number:
    spread = iv_fraction * square_root(years)
    return each(math.log, forward_usd / strike_usd) / spread + 0.5 * spread


def _has_time_value(iv_fraction: float, years: float) -> bool:
    return years > 0.0 and iv_fraction * math.sqrt(years) > 0.0


def black76_price_coin(
    forward_usd: float, strike_usd: float, iv_fraction: float, years: float, is_call: bool = True
) -> float:
    """Mark price in coin: the Black-76 value in USD at r = 0, divided by the forward.

    Source: Black (1976); that Deribit marks inverse options so was checked on recorded tickers.
    Without time or volatility left it is the intrinsic value.
    """
    sign = 1.0 if is_call else -1.0
    if not _has_time_value(iv_fraction, years):
        return max(0.0, sign * (forward_usd - strike_usd)) / forward_usd
    d1 = _d1(forward_usd, strike_usd, iv_fraction, years)
    d2 = d1 - iv_fraction * math.sqrt(years)
    value_usd = sign * (forward_usd * normal_cdf(sign * d1) - strike_usd * normal_cdf(sign * d2))
    return max(0.0, value_usd) / forward_usd


def live_call_delta(forward_usd: Number, strike_usd: Number, iv_fraction: Number, years: Number) -> Number:
    """Delta of a call that has time and volatility left: N(d1)."""
    return normal_cdf(_d1(forward_usd, strike_usd, iv_fraction, years))


def black76_delta(
    forward_usd: float, strike_usd: float, iv_fraction: float, years: float, is_call: bool = True
) -> float:
    """Delta as Deribit reports it: N(d1) for a call, N(d1) - 1 for a put."""
    if not _has_time_value(iv_fraction, years):
        call_delta = 1.0 if forward_usd > strike_usd else 0.0
    else:
        call_delta = live_call_delta(forward_usd, strike_usd, iv_fraction, years)
    return call_delta if is_call else call_delta - 1.0


def black76_greeks(
    forward_usd: float, strike_usd: float, iv_fraction: float, years: float, is_call: bool = True
) -> Greeks:
    """All greeks of one contract; theta never loses more per day than the option is worth."""
    delta = black76_delta(forward_usd, strike_usd, iv_fraction, years, is_call)
    if not _has_time_value(iv_fraction, years):
        return Greeks(delta, 0.0, 0.0, 0.0, 0.0)
    d1 = _d1(forward_usd, strike_usd, iv_fraction, years)
    d2 = d1 - iv_fraction * math.sqrt(years)
    density = _normal_density(d1)
    gamma = density / (forward_usd * iv_fraction * math.sqrt(years))
    vega = forward_usd * density * math.sqrt(years) / 100.0
    theta = -forward_usd * density * iv_fraction / (2.0 * math.sqrt(years)) / 365.0
    price = black76_price_coin(forward_usd, strike_usd, iv_fraction, years, is_call)
    sign = 1.0 if is_call else -1.0
    rho = sign * strike_usd * years * normal_cdf(sign * d2) / 100.0
    return Greeks(delta, gamma, vega, max(theta, -price * forward_usd), rho)


def payoff_coin(delivery_price_usd: float, strike_usd: float, is_call: bool = True) -> float:
    """What one contract pays at expiry, in coin: max(0, S - K) / S for a call."""
    sign = 1.0 if is_call else -1.0
    return max(0.0, sign * (delivery_price_usd - strike_usd)) / delivery_price_usd


# --- fees --------------------------------------------------------------------


def trade_fee_coin(price_coin: Number, amount: float, rate_coin: float = TRADE_FEE_COIN) -> Number:
    """Fee of a fill in coin: a rate per contract, at most 12.5 % of the premium (binds below 0.0024)."""
    return amount * smaller(FEE_CAP_FRACTION * price_coin, rate_coin)


def delivery_fee_coin(payoff_per_contract_coin: float, amount: float) -> float:
    """Fee on options that expire in the money, in coin, with the same 12.5 % cap on their value."""
    return amount * min(DELIVERY_FEE_COIN, FEE_CAP_FRACTION * payoff_per_contract_coin)


# --- standard margin ----------------------------------------------------------
# Coin per contract of one coin; `index_usd` is the index, not the forward (checked on recorded positions).


def _short_call_base_coin(index_usd: float, strike_usd: float) -> float:
    out_of_the_money = max(0.0, strike_usd - index_usd) / index_usd
    return max(0.15 - out_of_the_money, 0.10)


def _short_put_base_coin(index_usd: float, strike_usd: float) -> float:
    out_of_the_money = max(0.0, index_usd - strike_usd) / index_usd
    return max(0.15 - out_of_the_money, 0.10)


@lru_cache(maxsize=256)  # a call is looked at in all the trades that it could be part of
def short_call_initial_margin_coin(index_usd: float, strike_usd: float, mark_coin: float) -> float:
    """Initial margin of one short call: max(0.15 - OTM / S, 0.10) + mark."""
    return _short_call_base_coin(index_usd, strike_usd) + mark_coin


def short_call_maintenance_margin_coin(mark_coin: float) -> float:
    """Maintenance margin of one short call: 0.075 + mark."""
    return 0.075 + mark_coin


def short_put_maintenance_margin_coin(mark_coin: float) -> float:
    """Maintenance margin of one short put: max(0.075, 0.075 mark) + mark."""
    return max(0.075, 0.075 * mark_coin) + mark_coin


def short_put_initial_margin_coin(index_usd: float, strike_usd: float, mark_coin: float) -> float:
    """Initial margin of one short put: never below its maintenance margin."""
    initial = _short_put_base_coin(index_usd, strike_usd) + mark_coin
    return max(initial, short_put_maintenance_margin_coin(mark_coin))


def open_sell_call_margin_coin(index_usd: float, strike_usd: float) -> float:
    """Margin of one contract in a resting sell order: the base without the mark, plus the fee."""
    return _short_call_base_coin(index_usd, strike_usd) + TRADE_FEE_COIN


# --- ticks and steps (Decimal: 0.3 / 0.1 is not 3 in floats) --------------------

EXACT = Context(prec=28)  # of our own: another program in this process may have changed the usual one

NOISE_DECIMALS = 12  # (0.0011 + 0.0013) / 2 comes out a hair above 0.0012, which must not cost a whole tick


def tick_size_at(price: float, tick_size: float, steps: TickSteps = ()) -> float:
    """The tick that applies at a price; steps are pairs (above_price, tick_size)."""
    return tick_size_above(price, tick_size, sorted(steps))


def tick_size_above(price: Number, tick_size: Number, rising_steps: Sequence[tuple[Number, Number]]) -> Number:
    """The same with steps in rising order; of a column, each step is a pair of columns."""
    reached = tick_size
    for above, step in rising_steps:
        reached = where_above(rounded(price, NOISE_DECIMALS), above, step, reached)
    return reached


@lru_cache(maxsize=4_096)  # the same few, as all calls of a coin are of one size
def _to_grid(value: float, step: float, rounding: str) -> float:
    exact_step = Decimal(repr(step))
    exact_value = Decimal(repr(round(value, NOISE_DECIMALS)))
    with localcontext(EXACT):
        units = (exact_value / exact_step).quantize(Decimal(1), rounding=rounding)
    return float(units * exact_step)


def round_price_up(price: float, tick_size: float, steps: TickSteps = ()) -> float:
    """The lowest tick at or above the price: the safe side of a sell."""
    return _to_grid(price, tick_size_at(price, tick_size, steps), ROUND_CEILING)


def round_price_down(price: float, tick_size: float, steps: TickSteps = ()) -> float:
    """The highest tick at or below the price: the safe side of a buy."""
    return _to_grid(price, tick_size_at(price, tick_size, steps), ROUND_FLOOR)


def is_on_tick(price: float, tick_size: float, steps: TickSteps = ()) -> bool:
    """Whether the exchange would accept this price."""
    step = Decimal(repr(tick_size_at(price, tick_size, steps)))
    return EXACT.remainder(Decimal(repr(price)), step) == 0


def floor_to_step(amount: float, step: float) -> float:
    """The largest multiple of the step that is not above the amount, never below zero."""
    return max(0.0, _to_grid(amount, step, ROUND_FLOOR))


@lru_cache(maxsize=1_024)
def is_multiple_of_step(amount: float, step: float) -> bool:
    """Whether an amount is a whole number of steps."""
    return EXACT.remainder(Decimal(repr(amount)), Decimal(repr(step))) == 0
