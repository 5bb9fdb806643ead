"""The report stays small with many trades, and shows nothing unescaped."""

from __future__ import annotations

from dataclasses import replace

from backtest.report.contents import OtherQuotes, Report, weeks_of
from backtest.report.page import report_page
from backtest.report.svg import MOST_POINTS, Series, line_chart, thinned
from backtest.simulator.result import SimulationResult
from backtest.simulator.sources import QuoteSource
from tests.backtest.simulator.runs import days_later, thirty_days


def with_many_trades(times: int) -> SimulationResult:
    coins = [replace(coin, chains=coin.chains * times, equity=coin.equity * times) for coin in thirty_days().coins]
    return replace(thirty_days(), coins=tuple(coins))


def test_thousands_of_chains_leave_a_page_below_a_megabyte() -> None:
    result = with_many_trades(500)
    assert sum(len(coin.chains) for coin in result.coins) > 1000
    page = report_page(Report(result))
    assert len(page.encode()) < 1_000_000
    assert "all are in chains.csv" in page


def test_names_and_warnings_from_outside_are_escaped() -> None:
    result = replace(thirty_days(), policy="<script>", problem="<b>bold</b>")
    page = report_page(Report(result))
    assert "<script>" not in page
    assert "&lt;b&gt;bold" in page


def test_a_long_line_is_thinned_and_keeps_both_ends() -> None:
    points = [(days_later(day), float(day)) for day in range(5000)]
    shown = thinned(points)
    assert len(shown) == MOST_POINTS
    assert (shown[0], shown[-1]) == (points[0], points[-1])


def test_one_point_is_no_chart() -> None:
    assert "too few points" in line_chart("equity", [Series("equity", [(days_later(0), 1.0)])])


def test_a_level_line_is_drawn() -> None:
    assert "<polyline" in line_chart("equity", [Series("equity", [(days_later(0), 1.0), (days_later(1), 1.0)])])


def test_other_quotes_stand_week_by_week_beside_the_runs_own_with_every_source() -> None:
    modelled = replace(thirty_days(), source=QuoteSource("historical", "error so and so"))
    report = Report(thirty_days(), other_quotes=(OtherQuotes("second set", modelled),))
    page = report_page(report)
    assert "first set: simulated quotes: drawn from a seed" in page
    assert "second set: modelled quotes: error so and so" in page
    for coin in thirty_days().coins:
        weeks = list(weeks_of(report.side_by_side, coin.coin))
        assert [week.monday.weekday() for week in weeks] == [0] * len(weeks)
        legs = [leg.symbol for chain in coin.chains for leg in chain.legs]
        assert [call for week in weeks for call in week.calls[1].split(", ")] == legs


def test_a_run_without_other_quotes_has_no_such_part() -> None:
    assert "coefficient sets" not in report_page(Report(thirty_days()))
