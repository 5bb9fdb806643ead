"""A chain as columns: what its rows say alone, what an unlisted option has, and formulas that do not care for shape."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from core.chain import chain_of, listing_of, quotes_of
from core.columns import seconds_until, time_of, utcs_of
from core.pricing import (
    black76_delta,
    live_call_delta,
    tick_size_above,
    tick_size_at,
    trade_fee_coin,
    years_between,
)
from core.quotes import asked_price, asked_rows, crossed_rows, is_crossed, is_inside_collar, sale_floor
from tests.builders.states import NOW, TICK_STEPS, a_call, a_chain, a_quote, symbol_of

PRICES_COIN = (0.00005, 0.0024, 0.005, 0.0051, 0.02, 0.3)
SIDES_COIN = (None, 0.0099, 0.01, 0.0101)


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_of_the_chain_is_the_quote_that_was_put_in() -> None:
    quotes = [a_quote(), a_quote("BTC-16JAN26-120000-C", bid_price_coin=None, mark_iv_fraction=None, quoted_at=None)]
    assert [*quotes_of(quotes).rows()] == quotes


def test_a_quote_is_found_by_its_symbol_or_not_at_all() -> None:
    quotes = quotes_of([a_quote()])
    assert quotes.of(symbol_of()) == a_quote()
    assert quotes.of("BTC-16JAN26-1-C") is None


def test_without_some_symbols_the_other_rows_stay_in_their_order() -> None:
    names = ["BTC-16JAN26-1-C", "BTC-16JAN26-2-C", "BTC-16JAN26-3-C"]
    quotes = quotes_of(a_quote(name, bid_price_coin=0.01 * n) for n, name in enumerate(names, 1))
    left = quotes.without({names[1], "BTC-16JAN26-9-C"})
    assert [(row.symbol, row.bid_price_coin) for row in left.rows()] == [(names[0], 0.01), (names[2], 0.03)]


def test_terms_stand_in_the_order_of_the_quotes_whatever_the_order_of_the_listing() -> None:
    low, high = a_call(strike=110_000.0), a_call(strike=120_000.0, option_type="put", contract_size_coin=10.0)
    chain = chain_of(quotes_of([high[1], low[1]]), listing_of({option.symbol: option for option, _ in (low, high)}))
    assert chain.terms.strike_usd.tolist() == [120_000.0, 110_000.0]
    assert chain.terms.is_call.tolist() == [False, True]
    assert chain.terms.is_tradable.tolist() == [False, True]
    assert utcs_of(chain.terms.expiry) == [high[0].expiry, low[0].expiry]


def test_an_option_that_is_not_listed_has_no_terms() -> None:
    chain = a_chain(a_call(), unlisted=[a_quote("BTC-16JAN26-99-C")])
    assert chain.unlisted_symbols() == {"BTC-16JAN26-99-C"}
    assert chain.terms.is_listed.tolist() == [True, False]
    assert np.isnan(chain.terms.strike_usd[1])
    assert np.isnat(chain.terms.expiry[1])


def test_options_with_fewer_tick_steps_than_others_keep_their_own() -> None:
    plain, stepped = a_call(tick_steps=(), strike=110_000.0), a_call(strike=120_000.0)
    terms = a_chain(plain, stepped).terms
    ticks = tick_size_above(np.array([0.02, 0.02]), terms.tick_size_coin, terms.steps)
    assert ticks.tolist() == [0.0001, 0.0005]


def test_seconds_of_a_column_are_those_of_datetime_to_the_last_digit() -> None:
    moments = [NOW + timedelta(days=9, microseconds=us) for us in (0, 1, 333_333, 999_999)]
    column = np.array([time_of(moment) for moment in moments])
    assert seconds_until(column, time_of(NOW)).tolist() == [(moment - NOW).total_seconds() for moment in moments]


# --- one formula for a number and a column ------------------------------------------------------------


def test_delta_of_a_column_is_that_of_each_option_to_the_last_digit() -> None:
    strikes = [70_000.0, 99_999.5, 100_000.0, 111_000.0, 300_000.0]
    years = years_between(NOW, NOW + timedelta(days=11))
    columns = (np.full(5, 100_000.0), np.array(strikes), np.full(5, 0.57), np.full(5, years))
    assert live_call_delta(*columns).tolist() == [black76_delta(100_000.0, k, 0.57, years) for k in strikes]


def test_fee_and_tick_of_a_column_are_those_of_each_price() -> None:
    prices = np.array(PRICES_COIN)
    steps = tuple((np.full(6, above), np.full(6, tick)) for above, tick in TICK_STEPS)
    ticks = tick_size_above(prices, np.full(6, 0.0001), steps)
    assert trade_fee_coin(prices, 0.3).tolist() == [trade_fee_coin(price, 0.3) for price in PRICES_COIN]
    assert ticks.tolist() == [tick_size_at(price, 0.0001, TICK_STEPS) for price in PRICES_COIN]


def test_floor_and_collar_of_a_column_are_those_of_each_price() -> None:
    asked, bids, ticks = np.array(PRICES_COIN), np.array([0.0, 0.002, 0.005, 0.0, 0.019, 0.1]), np.full(6, 0.0001)
    floors = sale_floor(bids, asked, 15.0, ticks)
    inside = is_inside_collar(floors, asked * 1.1, 25.0, ticks)
    pairs = [*zip(bids.tolist(), PRICES_COIN, strict=True)]
    assert floors.tolist() == [sale_floor(bid, price, 15.0, 0.0001) for bid, price in pairs]
    collar = [*zip(floors.tolist(), PRICES_COIN, strict=True)]
    assert inside.tolist() == [is_inside_collar(floor, price * 1.1, 25.0, 0.0001) for floor, price in collar]


@pytest.mark.parametrize("bid", SIDES_COIN)
@pytest.mark.parametrize("ask", SIDES_COIN)
def test_a_missing_side_is_nan_in_a_column_and_means_what_none_means(bid: float | None, ask: float | None) -> None:
    bids, asks = np.array([bid], dtype=np.float64), np.array([ask], dtype=np.float64)
    assert crossed_rows(bids, asks).tolist() == [is_crossed(bid, ask)]
    assert asked_rows(bids, asks, np.array([0.0105])).tolist() == [asked_price(bid, ask, 0.0105)]
