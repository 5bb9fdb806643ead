"""The closes behind realised volatility: the index's own, else its perpetual's where they agree with the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from core.market_context import MAX_OFF_INDEX_FRACTION, near_index
from deribit.history.closes import read_closes
from deribit.vocabulary import ms_from_utc
from models import AgentState, DeribitConnectionError, MarketSnapshot, PriceBar
from paper_exchange.setups import simulated_setup
from state_builder import MarketMemory, build_agent_state
from tests.builders.configs import a_config
from tests.builders.states import COINS_HELD, NOW, a_client_on, some_bars
from tests.builders.wire import Fault, Wire, answered, refused, result_of

INDEX, CANDLES = "public/get_index_chart_data", "public/get_tradingview_chart_data"
HOUR_MS = 3_600_000
SPOT_USD = 90_000.0


class Exchange:
    """The simulated exchange at noon, its BTC index at 90,000, heard over a wire that can be disturbed."""

    def __init__(self, **run: float) -> None:
        setup = simulated_setup(1, COINS_HELD)
        self.wire = Wire(setup.transport)
        self.config = a_config(eth={"enabled": False}, run=run)
        self.client = a_client_on(replace(setup, transport=self.wire), self.config)

    def state(self) -> AgentState:
        return build_agent_state(self.client, self.config, MarketMemory())

    def market(self) -> MarketSnapshot:
        (market,) = self.state().markets
        return market

    def asked(self) -> list[str]:
        """Which charts were asked for, the year's aside: the range of the index, or the resolution of the candles."""
        charts = [call for call in self.wire.sent if call.method in (INDEX, CANDLES)]
        ranges = [str(call.params.get("range", call.params.get("resolution"))) for call in charts]
        return [asked for asked in ranges if asked != "1y"]


def index_of(count: int, step_seconds: float = 3600.0, last: datetime = NOW) -> Fault:
    """So many levels of the index, the newest now, that go up and down by 0.3 percent."""
    bars = some_bars((SPOT_USD * (1.0 + 0.003 * (n % 2)) for n in range(count)), step_seconds / 3600.0, last)
    return result_of([[ms_from_utc(bar.closed_at), bar.close] for bar in bars])


def candles_of(closes: Sequence[float]) -> Fault:
    """Hourly candles, the newest closed now."""
    ticks = [ms_from_utc(NOW) - HOUR_MS * (len(closes) - n) for n in range(len(closes))]
    return result_of({"status": "ok", "ticks": ticks, "close": list(closes)})


def swinging(count: int, around_usd: float = SPOT_USD) -> list[float]:
    return [around_usd * (1.0 + 0.003 * (n % 2)) for n in range(count)]


# --- where they come from ------------------------------------------------------------------------


def test_closes_come_from_the_index_in_one_request() -> None:
    exchange = Exchange()
    market = exchange.market()
    assert (market.rv_source, exchange.asked()) == ("index", ["1m"])
    assert market.rv_days == pytest.approx(30.0, abs=0.1)


@pytest.mark.parametrize("step_seconds", [300.0, 1800.0, 3600.0, 4 * 3600.0])
def test_whatever_spacing_the_exchange_chooses_gives_the_volatility_of_its_own_times(step_seconds: float) -> None:
    exchange = Exchange()
    exchange.wire.disturb(INDEX, index_of(200, step_seconds))
    steps_a_year = 365 * 86_400 / step_seconds
    assert exchange.market().rv_fraction == pytest.approx(0.003 * steps_a_year**0.5, rel=0.002)


@pytest.mark.parametrize(("hourly", "asked"), [(20, ["1m", "1d"]), (21, ["1m"])])
def test_a_day_in_finer_steps_is_asked_for_where_a_month_has_too_few_hours(hourly: int, asked: list[str]) -> None:
    exchange = Exchange(rv_min_returns=20)
    exchange.wire.disturb(INDEX, index_of(hourly), index_of(289, 300.0))
    assert exchange.market().rv_source == "index"
    assert exchange.asked() == asked


def test_of_a_window_longer_than_the_index_reaches_back_only_that_month_is_used() -> None:
    market = Exchange(rv_window_days=60.0).market()
    assert (market.rv_source, round(market.rv_days or 0.0)) == ("index", 30)


@pytest.mark.parametrize("fault", [refused(-32601, "Method not found"), result_of({"unexpected": True})])
def test_an_exchange_that_does_not_tell_the_index_is_asked_for_its_perpetual(fault: Fault) -> None:
    exchange = Exchange()
    exchange.wire.disturb(INDEX, *[fault] * 3)
    market = exchange.market()
    assert (market.rv_source, market.rv_fraction is not None, exchange.asked()[-1]) == ("perpetual", True, "60")


def test_an_index_with_too_few_levels_gives_way_to_the_perpetual() -> None:
    exchange = Exchange()
    exchange.wire.disturb(INDEX, index_of(3), index_of(4, 300.0))
    exchange.wire.disturb(CANDLES, candles_of(swinging(100)))
    assert exchange.market().rv_source == "perpetual"


def test_an_exchange_that_does_not_answer_is_a_failed_read() -> None:
    exchange = Exchange()
    exchange.wire.disturb(INDEX, *[answered(502, b"<html>bad gateway</html>")] * 3)
    with pytest.raises(DeribitConnectionError):
        exchange.state()


def test_no_closes_at_all_leave_volatility_unknown_and_nothing_to_sell() -> None:
    exchange = Exchange()
    exchange.wire.disturb(INDEX, result_of([]), result_of([]))
    exchange.wire.disturb(CANDLES, result_of({"status": "no_data", "ticks": [], "close": []}))
    state = exchange.state()
    assert [(market.rv_fraction, market.rv_source, market.iv_rv_ratio) for market in state.markets] == [(None,) * 3]
    assert state.candidates == ()


def test_candles_are_never_asked_for_in_more_rows_than_the_exchange_gives() -> None:
    exchange = Exchange(rv_window_days=60.0)
    exchange.wire.disturb(INDEX, refused(-32601))
    read_closes(exchange.client, "BTC", SPOT_USD, exchange.config)
    (asked,) = exchange.wire.params(CANDLES)
    assert (asked["end_timestamp"] - asked["start_timestamp"]) / HOUR_MS < 5_000


# --- whether the perpetual is believed -------------------------------------------------------------


def perpetual(closes: Sequence[float]) -> MarketSnapshot:
    exchange = Exchange()
    exchange.wire.disturb(INDEX, refused(-32601))
    exchange.wire.disturb(CANDLES, candles_of(closes))
    return exchange.market()


@pytest.mark.parametrize(
    ("off", "is_believed"), [(0.0, True), (0.02, True), (-0.02, True), (0.0201, False), (-0.03, False)]
)
def test_a_perpetual_further_off_the_index_than_two_percent_is_not_believed(off: float, is_believed: bool) -> None:
    market = perpetual([*swinging(100), SPOT_USD * (1.0 + off)])
    assert (market.rv_fraction is not None) == is_believed


def test_a_close_far_off_the_index_of_its_own_time_is_left_out() -> None:
    jump = some_bars([100.0, 130.0, 100.0])
    levels = some_bars([100.0, 100.0, 100.0])
    assert near_index(jump, levels) == (jump[0], jump[2])


@pytest.mark.parametrize(("minutes", "is_kept"), [(4.0, False), (5.0, False), (5.1, True)])
def test_a_level_of_another_time_says_nothing_about_a_close(minutes: float, is_kept: bool) -> None:
    jump = PriceBar(NOW - timedelta(hours=1), 130.0)
    levels = (PriceBar(jump.closed_at + timedelta(minutes=minutes), 100.0), PriceBar(NOW, 100.0))
    assert (jump in near_index((jump, PriceBar(NOW, 100.0)), levels)) == is_kept


@pytest.mark.parametrize("close", [0.0, -1.0, 100.0 * (1.0 + MAX_OFF_INDEX_FRACTION) + 1e-9])
def test_a_newest_close_that_is_no_price_of_the_index_leaves_none(close: float) -> None:
    assert near_index((*some_bars([100.0, 100.0]), PriceBar(NOW, close)), (PriceBar(NOW, 100.0),)) == ()
