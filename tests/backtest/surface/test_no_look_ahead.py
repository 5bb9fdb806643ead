"""Nothing is shown before anyone could know it: cut the future off and all stays the same; planted leaks show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

from backtest.historical.files import HistoryData
from backtest.historical.market import HistoricalMarket
from backtest.historical.setup import historical_setup
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from backtest.surface.known import KnownSeries
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, now_ms
from paper_exchange.market.market import Bar, DeliveryPrice
from paper_exchange.setups import Setup
from policy_rule_based import decide_action
from tests.backtest.simulator.runs import a_config
from tests.backtest.surface.histories import START, a_history, a_market, ms

MOMENTS = [START + timedelta(hours=7.5 * step) for step in range(8)]


def shown(market: HistoricalMarket) -> str:
    """All that a market shows at one moment, as text."""
    at_ms = now_ms(market.clock)
    return repr(
        [
            (
                market.index_price(coin),
                [*market.listings(coin)],
                [*market.quotes(coin)],
                market.index_bars(coin, at_ms - 3 * DAY_MS, at_ms + DAY_MS, 60),
                market.volatility_index_bars(coin, at_ms - 2 * DAY_MS, at_ms + DAY_MS, 3600),
                [market.delivery_price(coin, ms(START.replace(hour=8), days=day)) for day in range(-3, 4)],
            )
            for coin in market.currencies
        ]
    )


def as_it_is(data: HistoryData) -> HistoryData:
    return data


def difference_without_future(data: HistoryData, dated: Callable[[HistoryData], HistoryData] = as_it_is) -> int:
    """At how many moments a market shows something else when all that ended later is cut off.

    `dated` may give the data false times, as a leak would have them.
    """
    cut = [dated(data.cut_at(ms(moment))) for moment in MOMENTS]
    whole = [shown(a_market(dated(data), moment)) for moment in MOMENTS]
    return sum(shown(a_market(left, at)) != found for left, at, found in zip(cut, MOMENTS, whole, strict=True))


@pytest.mark.parametrize("hourly_dvol", [True, False])
def test_a_market_without_its_future_shows_the_same(hourly_dvol: bool) -> None:
    data = with_delivery_prices(a_history(hourly_dvol=hourly_dvol))
    assert difference_without_future(data) == 0


def a_days_dvol_in_its_morning(data: HistoryData) -> HistoryData:
    return replace(data, dvol={key: [moved(bar, -DAY_MS) for bar in bars] for key, bars in data.dvol.items()})


def an_hour_before_it_ends(data: HistoryData) -> HistoryData:
    candles = {coin: [moved(bar, -HOUR_MS) for bar in bars] for coin, bars in data.candles.items()}
    return replace(data, candles=candles)


def tomorrows_settlement(data: HistoryData) -> HistoryData:
    prices = {(coin, at_ms - DAY_MS): price for (coin, at_ms), price in data.delivery_prices.items()}
    return replace(data, delivery_prices=prices)


@pytest.mark.parametrize("leak", [a_days_dvol_in_its_morning, an_hour_before_it_ends, tomorrows_settlement])
def test_a_planted_leak_is_caught(leak: Callable[[HistoryData], HistoryData]) -> None:
    assert difference_without_future(with_delivery_prices(a_history(hourly_dvol=False)), leak) == len(MOMENTS)


def decided_on(data: HistoryData, end: datetime) -> list[tuple[str, str | None, str | None, float]]:
    config = a_config()
    setup = partial(historical_setup_of, data, end)
    result = CoveredCallSimulator(config, setup, NamedPolicy("tested", decide_action), Period(START, end)).run()
    return [decision.what for decision in result.decisions]


def historical_setup_of(data: HistoryData, end: datetime, seed: int, coins: Mapping[str, float]) -> Setup:
    return historical_setup(data, START, end, coins, seed=seed)


def test_a_run_without_its_future_decides_the_same() -> None:
    data, half = with_delivery_prices(a_history()), START + timedelta(days=2)
    without = decided_on(data.cut_at(ms(half)), half)
    assert without == decided_on(data, START + timedelta(days=4))[: len(without)]
    assert len({kind for kind, *_ in without}) > 1


def test_tomorrows_delivery_price_is_not_there_until_tomorrow() -> None:
    expires = START.replace(hour=8) + timedelta(days=1)
    market = a_market(with_delivery_prices(a_history()))
    assert market.delivery_price("BTC", ms(expires)) is None
    market.clock.sleep((expires - START).total_seconds() - 1.0)
    assert market.delivery_price("BTC", ms(expires)) is None
    market.clock.sleep(1.0)
    assert market.delivery_price("BTC", ms(expires)) is not None


def test_an_hour_or_a_day_is_known_when_it_has_ended_and_not_a_millisecond_before() -> None:
    closes = KnownSeries.of_periods([0, DAY_MS], DAY_MS, [50.0, 60.0])
    assert np.isnan(closes.at(DAY_MS - 1).values)
    assert closes.at(DAY_MS).values == 50.0
    assert closes.at(2 * DAY_MS - 1).values == 50.0
    assert closes.at(2 * DAY_MS).values == 60.0


def test_at_noon_daily_dvol_is_yesterdays_close() -> None:
    data = a_history(hourly_dvol=False)
    noon = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
    now = data.history("BTC").conditions_at(ms(noon))
    yesterday = next(bar for bar in data.days("BTC") if bar.opened_at_ms == ms(noon, hours=-36))
    assert now.dvol[0] == pytest.approx(yesterday.close / 100.0)
    assert not now.is_hourly[0]


def test_hourly_dvol_is_that_of_the_last_finished_hour() -> None:
    data = a_history()
    now = data.history("BTC").conditions_at(ms(START, minutes=59))
    finished = next(bar for bar in data.hours("BTC") if bar.opened_at_ms == ms(START, hours=-1))
    assert now.dvol[0] == pytest.approx(finished.close / 100.0)


# --- data with something wrong in it ----------------------------------------------


def with_delivery_prices(data: HistoryData) -> HistoryData:
    days = [ms(START.replace(hour=8), days=day) for day in range(-5, 10)]
    return replace(data, delivery_prices={("BTC", day): DeliveryPrice(80_000.0 + day % 977, False) for day in days})


def moved(bar: Bar, by_ms: int) -> Bar:
    return replace(bar, opened_at_ms=bar.opened_at_ms + by_ms)
