"""Gaps are told to the hour and the day, and silences by their length."""

from __future__ import annotations

from datetime import UTC, datetime

from backtest.download.datasets import DATASETS, DVOL_BEGAN_MS
from backtest.download.gaps import Gap, find_gaps
from backtest.download.paging import Span
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, to_ms

START_MS = to_ms(datetime(2024, 1, 1, tzinfo=UTC))


def hours(*numbers: int) -> list[int]:
    return [START_MS + number * HOUR_MS for number in numbers]


def candle_gaps(*numbers: int, last: int = 5) -> list[Gap]:
    return find_gaps(DATASETS["candles"], hours(*numbers), Span(START_MS, START_MS + last * HOUR_MS))


def test_hours_without_a_break_have_no_gap() -> None:
    assert candle_gaps(0, 1, 2, 3, 4) == []


def test_gaps_at_the_start_in_the_middle_and_at_the_end_are_found() -> None:
    assert candle_gaps(1, 4, last=7) == [
        Gap(START_MS, START_MS + HOUR_MS, 1),
        Gap(START_MS + 2 * HOUR_MS, START_MS + 4 * HOUR_MS, 2),
        Gap(START_MS + 5 * HOUR_MS, START_MS + 7 * HOUR_MS, 2),
    ]


def test_nothing_at_all_is_one_gap() -> None:
    assert candle_gaps() == [Gap(START_MS, START_MS + 5 * HOUR_MS, 5)]


def test_a_span_that_begins_within_an_hour_expects_the_next() -> None:
    span = Span(START_MS + 1, START_MS + 3 * HOUR_MS)
    assert find_gaps(DATASETS["candles"], hours(1, 2), span) == []


def test_dvol_is_not_missed_before_it_began() -> None:
    span = Span(DVOL_BEGAN_MS - 100 * DAY_MS, DVOL_BEGAN_MS + HOUR_MS)
    assert find_gaps(DATASETS["dvol"], [DVOL_BEGAN_MS], span) == []


def test_a_delivery_price_is_missed_from_eight_o_clock_on() -> None:
    prices, first = DATASETS["delivery_prices"], [START_MS]
    second_at_eight_ms = START_MS + DAY_MS + 8 * HOUR_MS
    assert find_gaps(prices, first, Span(START_MS, second_at_eight_ms)) == []
    missed = find_gaps(prices, first, Span(START_MS, second_at_eight_ms + HOUR_MS))
    assert missed == [Gap(START_MS + DAY_MS, START_MS + 2 * DAY_MS, 1)]


def test_silence_is_told_when_it_is_longer_than_six_hours() -> None:
    trades, span = DATASETS["trades"], Span(START_MS, START_MS + 12 * HOUR_MS)
    assert find_gaps(trades, [START_MS + 6 * HOUR_MS], span) == []
    late = START_MS + 6 * HOUR_MS + 1
    assert find_gaps(trades, [late], span) == [Gap(START_MS, late, 0)]


def test_instruments_have_no_gaps() -> None:
    assert find_gaps(DATASETS["instruments"], [], Span(START_MS, START_MS + DAY_MS)) == []
