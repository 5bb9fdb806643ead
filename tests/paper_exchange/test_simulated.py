"""The simulated market: determinism, calendar, surface, quotes, candles, memory. No network."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from paper_exchange.market.clocks import DAY_MS, HOUR_MS, MINUTE_MS, SimulatedClock, from_ms, now_ms, to_ms
from paper_exchange.market.expiries import MarketSize, StrikeGrid
from paper_exchange.simulated.market import SimulatedMarket

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
SMALL = MarketSize(expiries_max=4, strikes_per_side=3)


def market(seed: int = 1, start: datetime = START, size: MarketSize = SMALL) -> SimulatedMarket:
    return SimulatedMarket(seed, SimulatedClock(start), size=size)


def everything(source: SimulatedMarket) -> str:
    """All that a market shows at one moment, as text."""
    at_ms = now_ms(source.clock)
    shown = [
        (
            source.index_price(coin),
            [*source.listings(coin)],
            [*source.quotes(coin)],
            source.index_bars(coin, at_ms - 3 * DAY_MS, at_ms, 60),
            source.volatility_index_bars(coin, at_ms - 3 * DAY_MS, at_ms, 3600),
        )
        for coin in source.currencies
    ]
    return repr(shown)


# --- determinism -------------------------------------------------------------------


def test_the_same_seed_shows_the_same_market() -> None:
    assert everything(market(seed=7)) == everything(market(seed=7))


def test_another_seed_shows_another_market() -> None:
    assert everything(market(seed=7)) != everything(market(seed=8))


def test_what_is_shown_does_not_depend_on_how_time_got_there() -> None:
    one_sleep, many_sleeps = market(), market()
    one_sleep.clock.sleep(3 * 86_400.0)
    for step in range(3 * 24 * 4):
        many_sleeps.clock.sleep(900.0)
        if step % 5 == 0:
            many_sleeps.quotes("ETH")
            many_sleeps.index_price("BTC")
    assert everything(one_sleep) == everything(many_sleeps)


def test_one_coin_alone_has_the_same_path_as_both_together() -> None:
    alone = SimulatedMarket(3, SimulatedClock(START), currencies=("ETH",), size=SMALL)
    both = market(seed=3)
    assert [*alone.quotes("ETH")] == [*both.quotes("ETH")]
    assert alone.index_price("BTC") is None
    assert alone.quotes("BTC") == ()


def test_quotes_carry_the_time_of_the_clock_and_move_every_minute() -> None:
    source = market()
    before = source.quotes("BTC")
    source.clock.sleep(60.0)
    after = source.quotes("BTC")
    assert after[0].timestamp_ms == now_ms(source.clock)
    assert [quote.bid_coin for quote in before] != [quote.bid_coin for quote in after]


# --- calendar and strikes ------------------------------------------------------------


def test_expiries_follow_deribits_calendar() -> None:
    source = market(size=MarketSize(strikes_per_side=1))
    for _ in range(25):
        source.clock.sleep(3 * 86_400.0)
        expiries = sorted({listing.expires_at_ms for listing in source.listings("BTC")})
        assert_calendar(expiries, now_ms(source.clock))


def assert_calendar(expiries: list[int], at_ms: int) -> None:
    """At 08:00 UTC; four dailies, then Fridays, the last one a quarter's end about a year ahead."""
    assert all(from_ms(expiry).hour == 8 and expiry % HOUR_MS == 0 for expiry in expiries)
    assert [round((expiry - expiries[0]) / DAY_MS) for expiry in expiries[:4]] == [0, 1, 2, 3]
    assert 0 < expiries[0] - at_ms <= DAY_MS
    assert all(from_ms(expiry).weekday() == 4 for expiry in expiries[4:])
    assert 270 * DAY_MS < expiries[-1] - at_ms < 371 * DAY_MS
    assert from_ms(expiries[-1]).month % 3 == 0


def test_the_calendar_equals_the_one_recorded_on_2026_07_15() -> None:
    source = market(start=datetime(2026, 7, 15, 7, tzinfo=UTC), size=MarketSize(strikes_per_side=1))
    found = sorted({listing.expires_at_ms for listing in source.listings("BTC")})
    dates = ["07-15", "07-16", "07-17", "07-18", "07-24", "07-31", "08-28", "09-25", "12-25", "03-26", "06-25"]
    assert [f"{from_ms(expiry):%m-%d}" for expiry in found] == dates


def test_names_and_settlement_periods_are_deribits() -> None:
    listings = market(size=MarketSize(strikes_per_side=2)).listings("BTC")
    periods = {listing.name.split("-")[1]: listing.settlement_period for listing in listings}
    assert periods["6JAN26"] == "day"
    assert periods["9JAN26"] == "week"
    assert periods["30JAN26"] == "month"
    assert "BTC-9JAN26-90000-C" in [listing.name for listing in listings]


def test_the_underlying_is_a_future_where_one_expires_and_synthetic_elsewhere() -> None:
    source = market(size=MarketSize(strikes_per_side=1))
    found = {quote.name.split("-")[1]: quote.underlying_index for quote in source.quotes("BTC")}
    assert found["27MAR26"] == "BTC-27MAR26"
    assert found["7JAN26"] == "SYN.BTC-7JAN26"


def test_a_default_market_lists_about_as_many_options_as_deribit() -> None:
    source = SimulatedMarket(1, SimulatedClock(START))
    for coin, steps in (("BTC", (500.0, 1000.0)), ("ETH", (25.0, 50.0))):
        listings = source.listings(coin)
        daily = sorted({row.strike_usd for row in listings if row.expires_at_ms == listings[0].expires_at_ms})
        assert 450 <= len(listings) <= 600
        assert {after - before for before, after in pairwise(daily)} == set(steps)


def test_a_strike_stays_listed_until_its_expiry_and_moves_of_spot_add_strikes() -> None:
    source = market(size=MarketSize(strikes_per_side=4))
    first = {listing.name: listing for listing in source.listings("BTC")}
    source.clock.sleep(20 * 86_400.0)
    later = {listing.name: listing for listing in source.listings("BTC")}
    alive = [name for name, row in first.items() if row.expires_at_ms > now_ms(source.clock)]
    expiry_then = {row.expires_at_ms for row in first.values()}
    added = [name for name, row in later.items() if row.expires_at_ms in expiry_then and name not in first]
    assert all(later[name] == first[name] for name in alive)
    assert len(added) > 0
    assert all(later[name].created_at_ms > now_ms(source.clock) - 20 * DAY_MS for name in added)


def test_strikes_beside_the_last_spot_are_all_that_were_not_around_it() -> None:
    moves, listed, wanted = (1.0, 1.02, 0.97, 0.9, 1.3, 1.0), set[float](), set[float]()
    day_ms = DAY_MS * (to_ms(START) // DAY_MS)
    kept = StrikeGrid(day_ms + 30 * DAY_MS, day_ms, 90_000.0, 9)
    for move in moves:
        new = kept.strikes_beside(90_000.0 * move)
        around = StrikeGrid(day_ms + 30 * DAY_MS, day_ms, 90_000.0, 9).strikes_beside(90_000.0 * move)
        listed.update(new)
        wanted.update(around)
        assert listed == wanted
        assert new == sorted(new)
    assert kept.strikes_beside(90_000.0 * moves[-1]) == []


def test_short_expiries_come_every_few_hours_with_names_of_their_own() -> None:
    source = market(size=MarketSize(expiries_max=4, strikes_per_side=3, expiry_hours=2))
    listings = source.listings("ETH")
    expiries = sorted({listing.expires_at_ms for listing in listings})
    assert [from_ms(expiry).hour for expiry in expiries] == [10, 12, 14, 16]
    assert len({listing.name for listing in listings}) == len(listings)
    source.clock.sleep(2 * 3600.0)
    assert source.delivery_price("ETH", expiries[0]) is not None
    assert source.delivery_price("ETH", expiries[1]) is None


# --- index, candles, settlement -----------------------------------------------------------


def test_the_run_starts_at_the_start_prices_with_45_days_of_history() -> None:
    source = market(start=START.replace(minute=0))
    at_ms = now_ms(source.clock)
    bars = source.index_bars("BTC", 0, at_ms, 60)
    assert source.index_price("BTC") == 90_000.0
    assert source.index_price("ETH") == 3_100.0
    assert len(bars) == 45 * 24 + 1
    assert [bar.opened_at_ms - bars[0].opened_at_ms for bar in bars] == [hour * HOUR_MS for hour in range(len(bars))]


def test_candles_of_every_width_agree_and_end_now() -> None:
    source = market()
    at_ms = now_ms(source.clock)
    hours = source.index_bars("BTC", at_ms - DAY_MS, at_ms, 60)
    minutes = source.index_bars("BTC", hours[0].opened_at_ms, at_ms, 1)
    assert hours[-1].opened_at_ms == at_ms - 30 * MINUTE_MS
    assert hours[-1].close == minutes[-1].close == source.index_price("BTC")
    assert hours[3].close == hours[4].open
    assert hours[5].high == max(minute.high for minute in minutes[300:360])


def test_volatility_index_candles_end_now_and_join_up() -> None:
    source = market()
    at_ms = now_ms(source.clock)
    hours = source.volatility_index_bars("ETH", at_ms - 2 * DAY_MS, at_ms, 3600)
    days = source.volatility_index_bars("ETH", at_ms - 2 * DAY_MS, at_ms, 86_400)
    assert hours[-1].opened_at_ms == at_ms // HOUR_MS * HOUR_MS
    assert all(before.close == after.open for before, after in pairwise(hours))
    assert days[-1].close == hours[-1].close
    assert 20.0 < days[-1].low <= days[-1].high < 200.0


def test_options_settle_at_the_mean_of_the_last_thirty_minutes() -> None:
    source = market()
    expiry_ms = int(datetime(2026, 1, 6, 8, tzinfo=UTC).timestamp()) * 1000
    assert source.delivery_price("BTC", expiry_ms) is None
    source.clock.sleep(86_400.0)
    minutes = source.index_bars("BTC", expiry_ms - 30 * MINUTE_MS, expiry_ms - MINUTE_MS, 1)
    delivered = source.delivery_price("BTC", expiry_ms)
    assert delivered is not None
    assert delivered.price_usd == pytest.approx(sum(bar.open for bar in minutes) / 30)
    assert not delivered.is_approximate


@pytest.mark.parametrize("days", [14, 90])
def test_expiries_passed_in_one_long_sleep_can_all_be_settled(days: int) -> None:
    source = market()
    old = source.listings("BTC")
    source.clock.sleep(days * 86_400.0)
    for listing in old:
        if listing.expires_at_ms <= now_ms(source.clock):
            assert source.listing(listing.name) == listing
            assert source.delivery_price("BTC", listing.expires_at_ms) is not None


def test_memory_stays_flat_over_twenty_thousand_steps() -> None:
    source = market(size=MarketSize(expiries_max=1, strikes_per_side=1))
    kept_at_start = source.hours_kept
    oldest_ms = now_ms(source.clock) - 24 * HOUR_MS
    for _ in range(20_000):
        source.clock.wait_for_next(300.0)
        source.index_price("BTC")
    assert source.hours_kept == kept_at_start
    assert source.delivery_price("BTC", oldest_ms // DAY_MS * DAY_MS + 8 * HOUR_MS) is None
    assert source.listing("BTC-6JAN26-90000-C") is None


def test_prices_stay_in_range_for_a_year() -> None:
    source = market(seed=11, size=MarketSize(expiries_max=1, strikes_per_side=1))
    for _ in range(2):
        source.clock.sleep(180 * 86_400.0)
        price = source.index_price("BTC")
        assert price is not None
        assert 9_000.0 < price < 900_000.0
