"""Quotes and volatilities of the simulated market: marks, ticks, spreads, smile, IV against RV. No network."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from math import sqrt
from statistics import stdev

import pytest

from core import pricing
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, YEAR_MS, SimulatedClock, now_ms
from paper_exchange.market.expiries import MarketSize
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS, Listing
from paper_exchange.simulated.market import SimulatedMarket

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def black76(source: SimulatedMarket, name: str) -> float:
    quote, listing = source.quote(name), source.listing(name)
    assert quote is not None
    assert listing is not None
    years = (listing.expires_at_ms - quote.timestamp_ms) / YEAR_MS
    return pricing.black76_price_coin(
        quote.underlying_price_usd, listing.strike_usd, quote.mark_iv_fraction, years, listing.is_call
    )


def test_black76_gives_every_mark_back_from_its_volatility() -> None:
    source = SimulatedMarket(5, SimulatedClock(START))
    source.clock.sleep(86_400.0 * 3 + 17.0)
    for coin in source.currencies:
        for quote in source.quotes(coin):
            assert quote.mark_coin == pytest.approx(black76(source, quote.name), abs=1e-7)
            assert round(quote.mark_iv_fraction, 4) == quote.mark_iv_fraction


def test_quotes_lie_on_ticks_around_the_mark_and_never_cross() -> None:
    source = SimulatedMarket(2, SimulatedClock(START))
    for _ in range(5):
        source.clock.sleep(40_000.0)
        for quote in [*source.quotes("BTC"), *source.quotes("ETH")]:
            bid = quote.bid_coin if quote.bid_coin is not None else 0.0
            ask = quote.ask_coin if quote.ask_coin is not None else 9.9
            assert bid < quote.mark_coin + 1e-8
            assert ask > quote.mark_coin - 1e-8
            assert bid < ask
            for price in (quote.bid_coin, quote.ask_coin):
                assert price is None or pricing.is_on_tick(price, TICK_SIZE, TICK_STEPS)


def test_sides_have_a_size_in_steps_exactly_where_they_have_a_price() -> None:
    source = SimulatedMarket(2, SimulatedClock(START))
    for quote in source.quotes("BTC"):
        assert (quote.bid_coin is None) == (quote.bid_amount is None)
        assert (quote.ask_coin is None) == (quote.ask_amount is None)
        assert quote.bid_amount is None or pricing.is_multiple_of_step(quote.bid_amount, 0.1)


def test_options_worth_less_than_a_tick_have_no_bid() -> None:
    quotes = SimulatedMarket(4, SimulatedClock(START)).quotes("BTC")
    worthless = [quote for quote in quotes if quote.mark_coin < TICK_SIZE]
    assert len(worthless) > 0
    assert all(quote.bid_coin is None and quote.ask_coin is not None for quote in worthless)


def relative_spread(source: SimulatedMarket, calls: list[Listing], low: float, high: float) -> float:
    widths = []
    for listing in calls:
        quote = source.quote(listing.name)
        assert quote is not None
        years = (listing.expires_at_ms - quote.timestamp_ms) / YEAR_MS
        delta = pricing.black76_delta(quote.underlying_price_usd, listing.strike_usd, quote.mark_iv_fraction, years)
        if low <= delta < high and quote.bid_coin is not None and quote.ask_coin is not None:
            widths.append((quote.ask_coin - quote.bid_coin) / quote.mark_coin)
    return sum(widths) / len(widths)


def test_spreads_widen_with_low_delta_as_they_do_on_deribit() -> None:
    source = SimulatedMarket(1, SimulatedClock(START))
    limit_ms = now_ms(source.clock) + 40 * DAY_MS
    calls = [row for row in source.listings("BTC") if row.is_call and row.expires_at_ms < limit_ms]
    far, near = relative_spread(source, calls, 0.05, 0.15), relative_spread(source, calls, 0.25, 0.45)
    assert 0.08 < far < 0.35
    assert 0.02 < near < 0.12


def test_call_marks_fall_with_the_strike() -> None:
    source = SimulatedMarket(6, SimulatedClock(START))
    calls = [listing for listing in source.listings("ETH") if listing.is_call]
    for lower, higher in pairwise(calls):
        cheap, dear = source.quote(higher.name), source.quote(lower.name)
        assert cheap is not None
        assert dear is not None
        assert lower.expires_at_ms != higher.expires_at_ms or cheap.mark_coin <= dear.mark_coin


def test_implied_over_realised_volatility_crosses_one_both_ways_within_120_days() -> None:
    size = MarketSize(expiries_max=1, strikes_per_side=1)
    source = SimulatedMarket(1, SimulatedClock(START), size=size)
    above = []
    for _ in range(120):
        source.clock.sleep(86_400.0)
        ratio = implied_fraction(source) / realised_fraction(source)
        assert 0.4 < ratio < 3.0
        above.append(ratio > 1.0)
    changes = list(pairwise(above))
    assert (False, True) in changes
    assert (True, False) in changes


def implied_fraction(source: SimulatedMarket) -> float:
    at_ms = now_ms(source.clock)
    return source.volatility_index_bars("BTC", at_ms - HOUR_MS, at_ms, 3600)[-1].close / 100.0


def realised_fraction(source: SimulatedMarket) -> float:
    at_ms = now_ms(source.clock)
    closes = [bar.close for bar in source.index_bars("BTC", at_ms - 14 * DAY_MS, at_ms, 60)]
    returns = [after / before - 1.0 for before, after in pairwise(closes)]
    return stdev(returns) * sqrt(365.0 * 24.0)
