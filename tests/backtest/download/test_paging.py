"""Each method's pages against the server's silent truncations: everything comes, once, or it is doubted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backtest.download import client as deribit
from backtest.download.paging import (
    EMPTY_ATTEMPTS,
    Fetched,
    Fetcher,
    Span,
    fetch_candles,
    fetch_delivery_prices,
    fetch_dvol,
    fetch_instruments,
    fetch_trades,
)
from models import InvalidReplyError
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from tests.backtest.download.history_server import (
    CANDLES,
    CANDLES_AT_MOST,
    DVOL,
    DVOL_AT_MOST,
    INSTRUMENTS,
    NOW_MS,
    PRICES,
    START_MS,
    TRADES,
    Fault,
    World,
    changed,
    cut_connection,
    empty_page,
    gateway_down,
    make_trades,
    serving,
    too_many,
)

WHOLE = Span(START_MS, NOW_MS)
LONG = Span(START_MS - 11_000 * HOUR_MS, NOW_MS)


def long_world() -> World:
    return World(hours_ms=list(range(LONG.start_ms, LONG.end_ms, HOUR_MS)))


def fetched(world: World, fetch: Fetcher, span: Span = WHOLE, faults: dict[str, list[Fault]] | None = None) -> Fetched:
    with serving(world) as (server, client):
        for method, waiting in (faults or {}).items():
            server.fail(method, *waiting)
        return fetch(client, "BTC", span)


def keys(found: Fetched, column: int = 0) -> list[str]:
    return sorted(row[column] for row in found.rows)


# --- candles and DVOL ---------------------------------------------------------------------------------


def test_one_answer_holds_the_last_5001_candles_and_says_nothing_of_the_rest() -> None:
    asked: dict[str, str | int] = {"start_timestamp": LONG.start_ms, "end_timestamp": LONG.end_ms}
    with serving(long_world()) as (_, client):
        answer = client.ask(deribit.CANDLES, asked)
    assert (len(answer["ticks"]), answer["status"]) == (CANDLES_AT_MOST, "ok")
    assert answer["ticks"][-1] == max(long_world().hours_ms)


@pytest.mark.parametrize("fetch", [fetch_candles, fetch_dvol])
def test_all_hours_come_however_short_the_answers_are_cut(fetch: Fetcher) -> None:
    found = fetched(long_world(), fetch, LONG)
    assert found.doubts == ()
    assert len(found.rows) == len(set(keys(found))) == len(long_world().hours_ms)


def test_a_missing_continuation_is_not_the_end() -> None:
    found = fetched(World(says_more=False), fetch_dvol)
    assert len(found.rows) == len(World().hours_ms) > DVOL_AT_MOST
    assert found.doubts == ()


def test_a_span_holds_its_first_hour_and_not_its_end() -> None:
    found = fetched(World(), fetch_candles, Span(START_MS + HOUR_MS, START_MS + 3 * HOUR_MS))
    assert keys(found) == ["2024-01-01 01:00:00+00:00", "2024-01-01 02:00:00+00:00"]


def test_hours_before_there_was_anything_are_doubted() -> None:
    early = START_MS - 10 * DAY_MS
    found = fetched(World(), fetch_candles, Span(early, START_MS + HOUR_MS))
    assert found.doubts == ("nothing came before 2024-01-01 00:00:00+00:00, wanted from 2023-12-22 00:00:00+00:00",)
    assert len(found.rows) == 1


def test_a_hole_in_the_middle_is_passed_over() -> None:
    hours = [at for at in World().hours_ms if not START_MS + DAY_MS <= at < START_MS + 2 * DAY_MS]
    found = fetched(World(hours_ms=hours), fetch_candles)
    assert len(found.rows) == len(hours)
    assert found.doubts == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda result: result | {"ticks": [at // 1_000 for at in result["ticks"]]}, "not a time in milliseconds"),
        (lambda result: result | {"ticks": [at * 1_000 for at in result["ticks"]]}, "not a time in milliseconds"),
        (lambda result: result | {"close": result["close"][:-1]}, "columns of different lengths"),
        (lambda result: result | {"close": ["1.0"] * len(result["close"])}, "not a finite number"),
        (lambda result: result | {"close": [None] * len(result["close"])}, "not a finite number"),
        (lambda result: {"status": "ok"}, "lacks 'ticks'"),
    ],
)
def test_candles_that_cannot_be_are_refused(change: Callable[[Any], Any], reason: str) -> None:
    with pytest.raises(InvalidReplyError, match=reason):
        fetched(World(), fetch_candles, faults={CANDLES: [changed(change)]})


# --- trades -----------------------------------------------------------------------------------------------


def trading_day(count: int) -> tuple[World, Span]:
    return World(trades=make_trades(count)), Span(START_MS, START_MS + 2 * DAY_MS)


@pytest.mark.parametrize("count", [1, 999, 1_000, 1_001, 3_500])
def test_all_trades_come_once_though_pages_end_within_a_millisecond(count: int) -> None:
    world, span = trading_day(count)
    found = fetched(world, fetch_trades, span)
    assert keys(found, column=1) == sorted(trade["trade_id"] for trade in world.trades)
    assert found.doubts == ()


def test_a_full_page_is_not_the_end_whatever_has_more_says() -> None:
    world, span = trading_day(3_500)
    world.says_more = False
    assert len(fetched(world, fetch_trades, span).rows) == 3_500


def test_more_trades_in_a_millisecond_than_a_page_holds_are_doubted() -> None:
    world, span = World(trades=make_trades(2_500, apart_ms=0)), Span(START_MS, START_MS + DAY_MS)
    found = fetched(world, fetch_trades, span)
    assert found.doubts == ("nothing new came after 2024-01-01 00:00:00+00:00, where more trades should be",)


def test_newest_first_is_refused_because_it_hides_what_lies_before() -> None:
    world, span = trading_day(3_500)
    world.newest_first = True
    with pytest.raises(InvalidReplyError, match="newest first, asked for oldest first"):
        fetched(world, fetch_trades, span)


def test_a_trade_without_mark_or_volatility_has_an_empty_field_and_no_zero() -> None:
    trade = make_trades(1)[0]
    del trade["mark_price"]
    trade["iv"] = None
    (row,) = fetched(World(trades=[trade]), fetch_trades).rows
    assert row[-3:] == ("", "", "42000.0")


# --- delivery prices and instruments -------------------------------------------------------------------------


def test_delivery_prices_come_to_the_last_page() -> None:
    days = list(range(NOW_MS - 2_600 * DAY_MS, NOW_MS, DAY_MS))
    found = fetched(World(delivery_days_ms=days), fetch_delivery_prices)
    assert len(set(keys(found))) == 2_600
    assert found.doubts == ()


def test_a_price_that_appears_between_two_pages_is_no_harm() -> None:
    """At 08:00 the list grows at its front, and the next page begins with a row that was seen."""
    days = list(range(NOW_MS - 1_500 * DAY_MS, NOW_MS, DAY_MS))
    world = World(delivery_days_ms=days)

    def grow(result: Any) -> Any:
        world.delivery_days_ms.append(NOW_MS + DAY_MS)
        return result

    found = fetched(world, fetch_delivery_prices, faults={PRICES: [changed(grow)]})
    assert len(found.rows) == 1_500
    assert found.doubts == ()


def test_expired_options_come_from_the_host_that_remembers() -> None:
    found = fetched(World(), fetch_instruments)
    assert keys(found) == ["BTC-26JAN24-50000-C", "BTC-26JAN24-55000-P", "BTC-29MAR24-60000-C"]


@pytest.mark.parametrize("name", ["=cmd|'/c calc'!A1", "a,b", "a\nb", 'a"b', "-1+2", "x" * 65])
def test_a_name_that_would_do_harm_in_a_file_is_refused(name: str) -> None:
    def rename(listed: Any) -> Any:
        return [listed[0] | {"instrument_name": name}]

    with pytest.raises(InvalidReplyError, match="is not a name"):
        fetched(World(), fetch_instruments, faults={INSTRUMENTS: [changed(rename)]})


# --- empty pages and passing faults, the same for all ---------------------------------------------------------

METHODS: list[tuple[str, Fetcher]] = [
    (CANDLES, fetch_candles),
    (DVOL, fetch_dvol),
    (TRADES, fetch_trades),
    (PRICES, fetch_delivery_prices),
    (INSTRUMENTS, fetch_instruments),
]


@pytest.mark.parametrize(("method", "fetch"), METHODS)
@pytest.mark.parametrize("faults", [[empty_page], [empty_page, empty_page], [too_many(), cut_connection, gateway_down]])
def test_what_passes_leaves_no_trace_in_the_data(method: str, fetch: Fetcher, faults: list[Fault]) -> None:
    world = World(trades=make_trades(2_500))
    clean = fetched(world, fetch)
    disturbed = fetched(world, fetch, faults={method: faults})
    assert sorted(disturbed.rows) == sorted(clean.rows)
    assert disturbed.doubts == clean.doubts == ()
    assert len(clean.rows) > 0


@pytest.mark.parametrize(("method", "fetch"), METHODS)
def test_a_page_that_stays_empty_is_doubted_and_not_the_end(method: str, fetch: Fetcher) -> None:
    found = fetched(World(trades=make_trades(10)), fetch, faults={method: [empty_page] * EMPTY_ATTEMPTS})
    assert len(found.doubts) == 1
    assert len(found.rows) == (2 if method == INSTRUMENTS else 0)  # the expired ones come from another request
