"""The historical market keeps the Market protocol, Deribit's calendar, and its word on what is extrapolated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backtest.historical.market import ModelQuote
from backtest.historical.setup import historical_setup
from config import load_config
from deribit_client import DeribitClient
from paper_exchange.market.clocks import HOUR_MS, now_ms
from paper_exchange.market.expiries import DEFAULT_SIZE, listed_expiries
from state_builder import build_agent_state
from tests.backtest.surface.histories import FIRST_DAY, START, a_history, a_market, ms

CONFIG = load_config(env_file=None)


def test_the_same_seed_shows_the_same_quotes_however_time_got_there() -> None:
    one_sleep, many_sleeps = a_market(), a_market()
    one_sleep.clock.sleep(50 * 3600.0)
    for _ in range(100):
        many_sleeps.clock.sleep(1800.0)
        many_sleeps.quote("ETH-27MAR26-2500-C")
    assert [*one_sleep.quotes("BTC")] == [*many_sleeps.quotes("BTC")]
    assert [*one_sleep.listings("ETH")] == [*many_sleeps.listings("ETH")]


def test_another_seed_draws_other_spreads_around_the_same_marks() -> None:
    first, second = a_market(seed=1).quotes("BTC"), a_market(seed=2).quotes("BTC")
    assert [quote.mark_coin for quote in first] == [quote.mark_coin for quote in second]
    assert [quote.bid_coin for quote in first] != [quote.bid_coin for quote in second]


def test_expiries_are_those_deribit_listed_that_day() -> None:
    market = a_market()
    expiries = {listing.expires_at_ms for listing in market.listings("BTC")}
    assert expiries == set(listed_expiries(ms(START), DEFAULT_SIZE))


def test_a_strike_once_listed_stays_until_it_expires_and_is_remembered_after() -> None:
    market = a_market()
    nearest = min(market.listings("BTC"), key=lambda listing: listing.expires_at_ms)
    market.clock.sleep((nearest.expires_at_ms - now_ms(market.clock)) / 1000.0)
    assert nearest.name not in {listing.name for listing in market.listings("BTC")}
    assert market.listing(nearest.name) == nearest
    assert market.quote(nearest.name) is None
    market.clock.sleep(12 * 86_400.0)
    market.listings("BTC")
    assert market.listing(nearest.name) is None  # it has been forgotten


def test_bid_and_ask_lie_on_the_tick_grid_two_ticks_apart_at_least() -> None:
    for quote in a_market().quotes("BTC"):
        if quote.bid_coin is None or quote.ask_coin is None:
            continue
        tick = 0.0005 if quote.bid_coin > 0.005 else 0.0001
        assert quote.bid_coin / tick == pytest.approx(round(quote.bid_coin / tick), abs=1e-6)
        assert quote.ask_coin - quote.bid_coin >= 2 * tick - 1e-9


def test_ticks_are_those_of_the_era() -> None:
    assert {listing.tick_size for listing in a_market().listings("BTC")} == {0.0001}


def test_quotes_outside_the_fitted_range_say_so() -> None:
    quotes = {quote.is_extrapolated: quote for quote in model_quotes("BTC")}
    assert set(quotes) == {True, False}
    chain = a_market().chain("BTC")
    assert chain is not None
    inside = ~chain.model.is_extrapolated
    assert chain.model.call_delta[inside].min() >= 0.05
    assert chain.model.call_delta[inside].max() <= 0.50
    assert chain.model.days[inside].max() <= 40.0


def test_a_volatility_that_was_never_fitted_makes_every_quote_extrapolated() -> None:
    data = a_history(coins=("BTC",))
    wild = {key: [replace(bar, close=5.0 * bar.close) for bar in bars] for key, bars in data.dvol.items()}
    chain = a_market(replace(data, dvol=wild)).chain("BTC")
    assert chain is not None
    assert chain.model.is_extrapolated.all()


def test_too_little_history_makes_every_quote_extrapolated() -> None:
    chain = a_market(start=FIRST_DAY + timedelta(days=12)).chain("BTC")
    assert chain is not None
    assert chain.model.is_extrapolated.all()


def test_a_gap_in_the_candles_leaves_no_index_and_no_quotes() -> None:
    data = a_history(coins=("BTC",))
    gap = [bar for bar in data.candles["BTC"] if not ms(START, hours=-9) <= bar.opened_at_ms <= ms(START, hours=9)]
    market = a_market(replace(data, candles={"BTC": gap}))
    assert market.index_price("BTC") is None
    assert market.quotes("BTC") == ()
    market.clock.sleep(12 * 3600.0)
    assert market.index_price("BTC") is not None
    assert len(market.quotes("BTC")) > 0


def test_without_hourly_dvol_the_set_for_daily_dvol_is_used() -> None:
    hourly, daily = a_market(), a_market(a_history(hourly_dvol=False))
    hourly.chain("BTC")
    daily.chain("BTC")
    assert list(hourly.used_sets) == ["BTC hour all years"]
    assert list(daily.used_sets) == ["BTC day all years"]


def test_index_bars_are_finished_hours_and_join_to_days() -> None:
    market = a_market()
    hours = market.index_bars("BTC", ms(START, days=-2), ms(START), 60)
    assert hours[-1].opened_at_ms == ms(START) - HOUR_MS
    days = market.index_bars("BTC", ms(START.replace(hour=0), days=-1), ms(START), 1440)
    midnight = ms(START.replace(hour=0))
    assert days[0].close == next(bar.close for bar in hours if bar.opened_at_ms == midnight - HOUR_MS)


def test_settlement_without_a_delivery_price_comes_from_the_hour_before_and_says_so() -> None:
    market = a_market()
    price = market.delivery_price("BTC", ms(START.replace(hour=8)))
    assert price is not None
    assert price.is_approximate
    assert price.price_usd == pytest.approx(market.index_price("BTC"), rel=0.02)


def test_the_agent_decides_on_it_as_on_any_other_market() -> None:
    setup = historical_setup(a_history(), START, None, {"BTC": 1.0, "ETH": 10.0})
    client = DeribitClient(CONFIG, transport=setup.transport, clock=setup.clock, credentials=("paper", "paper"))
    state = build_agent_state(client, CONFIG)
    assert [market.underlying for market in state.markets] == ["BTC", "ETH"]
    assert all(market.dvol_fraction is not None and market.iv_rv_ratio is not None for market in state.markets)
    assert len(state.candidates) > 0


def model_quotes(coin: str) -> list[ModelQuote]:
    return [quote for quote in a_market().quotes(coin) if isinstance(quote, ModelQuote)]


def test_the_clock_ends_with_the_period() -> None:
    clock = historical_setup(a_history(), START, START + timedelta(hours=2), {"BTC": 1.0}).clock
    assert [clock.wait_for_next(3600.0) for _ in range(3)] == [True, True, False]
    assert clock.now() > datetime(2026, 3, 20, tzinfo=UTC)
