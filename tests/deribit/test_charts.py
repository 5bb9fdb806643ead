"""What Deribit's charts mean: when each price was, and that a chart which is none is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deribit.history.charts import read_bars, read_dvol_days, read_index_levels
from deribit.replies import Row
from deribit.vocabulary import ms_from_utc
from models import InvalidReplyError

HOUR = timedelta(hours=1)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NOON_MS, HOUR_MS = ms_from_utc(NOON), 3_600_000


def test_a_candle_s_close_is_at_its_end_and_that_of_the_running_one_is_now() -> None:
    now = NOON + timedelta(minutes=5)
    chart = Row({"ticks": [NOON_MS - HOUR_MS, NOON_MS], "close": [90_000.0, 90_100.0], "status": "ok"})
    assert read_bars(chart, HOUR, now) == ((NOON, 90_000.0), (now, 90_100.0))


def test_a_chart_without_data_is_empty() -> None:
    assert read_bars(Row({"status": "no_data"}), HOUR, NOON) == ()
    assert read_index_levels([]) == ()


def test_candles_whose_times_and_closes_differ_in_number_are_refused() -> None:
    with pytest.raises(InvalidReplyError, match="differ in number"):
        read_bars(Row({"ticks": [NOON_MS], "close": [1.0, 2.0]}), HOUR, NOON)


def test_levels_of_the_index_keep_their_own_times_and_come_oldest_first() -> None:
    points = [[NOON_MS + 300_000, 90_050.0], [NOON_MS, 90_000]]
    assert read_index_levels(points) == ((NOON, 90_000.0), (NOON + timedelta(minutes=5), 90_050.0))


def test_a_day_of_dvol_is_a_fraction_at_its_end_and_that_of_the_running_day_is_now() -> None:
    midnight_ms = NOON_MS - 12 * HOUR_MS
    rows = [[midnight_ms - 24 * HOUR_MS, 50.0, 52.0, 49.0, 51.0], [midnight_ms, 51.0, 53.0, 50.0, 52.0]]
    midnight = NOON - timedelta(hours=12)
    assert read_dvol_days({"data": rows}, NOON) == ((midnight, 0.51), (NOON, 0.52))


@pytest.mark.parametrize("data", [{"last": 55.0}, [[NOON_MS, 55.0]], ["x"], [[NOON_MS, 1, 1, 1, None]]])
def test_what_are_no_candles_of_dvol_is_refused(data: object) -> None:
    with pytest.raises(InvalidReplyError):
        read_dvol_days({"data": data}, NOON)
