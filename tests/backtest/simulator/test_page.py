"""The report stays small with many trades, and shows nothing unescaped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backtest.report.contents import OtherQuotes, Report, same_calls, weeks_of
from backtest.report.page import report_page
from backtest.report.svg import MOST_POINTS, Series, line_chart, scale, thinned
from backtest.simulator.result import SimulationResult
from backtest.simulator.sources import QuoteSource
from core.results.sold_calls import CallChain, SoldCall
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


def test_a_modelled_source_stands_on_a_coins_figures_with_that_coins_errors_alone() -> None:
    source = QuoteSource("historical", "BTC so; ETH so", rung_by_coin={"BTC": "BTC so"})
    assert source.label == "modelled quotes: BTC so; ETH so"
    assert source.label_of("BTC") == "modelled quotes: BTC so"
    assert source.label_of("ETH") == source.label


def weekly_calls(*made: tuple[str, float]) -> SimulationResult:
    """A result with one BTC call a week: its strike, and what it made in coin."""
    chains = [
        CallChain(f"week {n}", "BTC", (SoldCall(f"week {n}", 1, "BTC", strike, opened, opened, premium_coin=pnl_coin),))
        for n, (strike, pnl_coin) in enumerate(made)
        for opened in (days_later(7.0 * n),)
    ]
    coins = [replace(coin, chains=tuple(chains) if coin.coin == "BTC" else ()) for coin in thirty_days().coins]
    return replace(thirty_days(), coins=tuple(coins))


def test_weeks_of_the_same_calls_are_told_from_those_of_others() -> None:
    real = weekly_calls(("100000", 0.003), ("101000", 0.004), ("102000", -0.010), ("103000", 0.001))
    modelled = weekly_calls(("100000", 0.004), ("101000", 0.004), ("103000", 0.005))
    report = Report(real, other_quotes=(OtherQuotes("modelled", modelled),))
    (found,) = same_calls(report.side_by_side, "BTC")
    assert (found.weeks, found.same_weeks) == (3, 2)
    assert found.same_difference_coin == pytest.approx(0.001)
    assert found.other_difference_coin == pytest.approx(0.015)
    assert found.rest_coin == pytest.approx(found.difference_coin - 0.016)
    assert "+0.00100 in weeks of the same calls (2), +0.01500 in weeks of others (1), -0.01600 in" in found.sentence
    assert found.sentence in report_page(report)
    assert list(same_calls(report.side_by_side, "ETH")) == []


def test_two_lines_of_one_chart_are_named_in_their_colours() -> None:
    points = [(days_later(0), 1.0), (days_later(1), 2.0)]
    drawn = line_chart("both", [Series("equity", points), Series("<holding>", points)])
    assert 'class="label name-1"' in drawn
    assert "&lt;holding&gt;</text>" in drawn
    assert "name-1" not in line_chart("one", [Series("equity", points)])


def test_a_run_without_other_quotes_has_no_such_part() -> None:
    assert "coefficient sets" not in report_page(Report(thirty_days()))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-0.0008, 0.0017, ["-0.0005", "0.0000", "0.0005", "0.0010", "0.0015"]),
        (83_000.0, 91_000.0, ["84,000", "86,000", "88,000", "90,000"]),
        (0.99, 1.01, ["0.99", "1.00", "1.01"]),
    ],
)
def test_the_scale_of_a_chart_shows_round_values_with_their_sign(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in scale(low, high)] == labels


@pytest.mark.parametrize("largest", [1e-6, 3.3e-4, 0.7, 12.0, 98_765.0, 4e6])
def test_no_label_of_a_chart_reaches_over_its_edge(largest: float) -> None:
    assert all(len(label) <= 10 for _, label in scale(-largest, largest))
    assert len(scale(-largest, largest)) >= 3
