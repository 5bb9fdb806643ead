"""Insights: a difference that is there is seen, one that is not is said to be maybe chance, few calls tell nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dashboard.ask.log_view import LogView
from dashboard.insights.calls import CallRow, rows_of_log, rows_of_run
from dashboard.insights.comparisons import insights_of

START = datetime(2026, 1, 5, tzinfo=UTC)


def some_calls(count: int, gain_of_low_delta_usd: float) -> list[CallRow]:
    """Two coins by turns, a call a day; those of a low delta earn more by so much, the rest is noise of 20 USD."""
    noise = np.random.default_rng(7).normal(0.0, 20.0, count)
    return [
        CallRow(
            currency="BTC" if number % 2 else "ETH",
            opened_at=START + timedelta(days=number),
            exit="expired",
            result_usd=float(noise[number]) + (gain_of_low_delta_usd if number % 3 == 0 else 0.0),
            delta=0.1 if number % 3 == 0 else 0.3 - 0.001 * (number % 7),
            days=float(3 + number % 5),
        )
        for number in range(count)
    ]


def test_a_difference_that_is_there_is_seen_with_its_interval() -> None:
    found = insights_of(some_calls(120, 100.0), "t")
    low, high = found.fact("delta_low"), found.fact("delta_high")
    assert low is not None
    assert high is not None
    assert isinstance(high.value, float)
    assert high.value < 0.0  # above the median of delta less is earned
    sentence = next(line for line in found.sentences if "delta" in line)
    assert "chance" not in sentence


def test_a_difference_that_is_noise_may_be_chance() -> None:
    found = insights_of(some_calls(120, 0.0), "t")
    assert "may be chance" in next(line for line in found.sentences if "on BTC" in line)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_calls_tell_nothing(count: int) -> None:
    found = insights_of(some_calls(count, 100.0), "t")
    assert all("too few" in sentence for sentence in found.sentences)
    assert found.text


def test_n_and_the_mean_are_those_of_the_calls(view: LogView) -> None:
    rows = rows_of_log(view.calls())
    found = insights_of(rows, "t")
    n, mean = found.fact("average_n"), found.fact("average_usd")
    assert n is not None
    assert mean is not None
    ended = [call.pnl_usd for call in view.calls() if call.exit != "open"]
    assert n.value == len(ended)
    assert mean.value == pytest.approx(np.mean([value for value in ended if value is not None]), abs=1e-9)


def test_a_table_that_cannot_be_read_has_no_calls(tmp_path: Path) -> None:
    (tmp_path / "trades.csv").write_text("a,b\n1,2\n")
    assert rows_of_run(tmp_path / "trades.csv") == rows_of_run(tmp_path / "none") == []
