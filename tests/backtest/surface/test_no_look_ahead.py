"""Nothing is shown before anyone could know it: cut the future off and all stays the same; planted leaks show."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backtest.historical.files import HistoryData
from backtest.historical.market import HistoricalMarket
from backtest.surface.known import KnownSeries
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, now_ms
from paper_exchange.market.market import Bar, DeliveryPrice
from tests.backtest.surface.histories import START, a_history, a_market, ms

MOMENTS = [START + timedelta(hours=7.5 * step) for step in range(8)]


def shown(market: HistoricalMarket) -> str:
    """All that a market shows at one moment, as text."""
    at_ms = now_ms(market.clock)
    return repr(
        [
            (
                market.index_price(coin),
                market.listings(coin),
                market.quotes(coin),
                market.index_bars(coin, at_ms - 3 * DAY_MS, at_ms + DAY_MS, 60),
                market.volatility_index_bars(coin, at_ms - 2 * DAY_MS, at_ms + DAY_MS, 3600),
                [market.delivery_price(coin, ms(START.replace(hour=8), days=day)) for day in range(-3, 4)],
            )
            for coin in market.currencies
        ]
    )


def difference_without_future(data: HistoryData) -> list[datetime]:
    """Moments at which a market shows something else when all that ended later is cut off."""
    return [
        moment
        for moment in MOMENTS
        if shown(a_market(data, moment)) != shown(a_market(data.cut_at(ms(moment)), moment))
    ]


@pytest.mark.parametrize("hourly_dvol", [True, False])
def test_a_market_without_its_future_shows_the_same(hourly_dvol: bool) -> None:
    data = with_delivery_prices(a_history(hourly_dvol=hourly_dvol))
    assert difference_without_future(data) == []


def test_the_days_own_close_as_if_known_in_the_morning_is_caught() -> None:
    leak = a_history(hourly_dvol=False)
    early = {key: [moved(bar, -DAY_MS) for bar in bars] for key, bars in leak.dvol.items()}
    honest, leaking = a_market(leak), a_market(replace(leak, dvol=early))
    assert shown(honest) != shown(leaking)
    assert differs_when_tomorrow_changes(early)
    assert not differs_when_tomorrow_changes(leak.dvol)


def test_a_candle_that_is_not_finished_is_caught() -> None:
    data = a_history()
    early = {coin: [moved(bar, -HOUR_MS) for bar in bars] for coin, bars in data.candles.items()}
    assert a_market(data).index_price("BTC") == closes_until(data, ms(START))[-1]
    assert a_market(replace(data, candles=early)).index_price("BTC") != closes_until(data, ms(START))[-1]


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


def differs_when_tomorrow_changes(dvol: dict[tuple[str, int], list[Bar]]) -> bool:
    """Whether quotes of START depend on the close of START's own day (bars carry it under a true or a false time)."""
    data = a_history(hourly_dvol=False)
    own_close = next(bar.close for bar in data.days("BTC") if bar.opened_at_ms == ms(START.replace(hour=0)))
    changed = {
        key: [replace(bar, close=99.0) if bar.close == own_close else bar for bar in bars] for key, bars in dvol.items()
    }
    return shown(a_market(replace(data, dvol=dvol))) != shown(a_market(replace(data, dvol=changed)))


def closes_until(data: HistoryData, at_ms: int) -> list[float]:
    return [bar.close for bar in data.candles["BTC"] if bar.opened_at_ms + HOUR_MS <= at_ms]
