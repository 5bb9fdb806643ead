"""The best of many trials is judged as that: what luck has found is called luck, a planted edge is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backtest.statistics.samples import Floats
from backtest.statistics.sharpe import deflated_sharpe, record_of
from backtest.sweep.judging import Judgement, WalkForward, by_value, judge
from backtest.sweep.text import sweep_lines
from backtest.sweep.trials import TrialRow

START = datetime(2024, 1, 1, tzinfo=UTC)
LENGTHS = WalkForward(choose_days=120.0, judge_days=60.0, pause_days=21.0)
DAYS, TRIALS = 400, 30


def noise(seed: int, columns: int = TRIALS, days: int = DAYS) -> Floats:
    return np.random.default_rng(seed).normal(scale=1e-3, size=(days, columns))


def rows_from(table: Floats, word: str = "t") -> list[TrialRow]:
    """A trial a column, with a value that names it and one that half of the trials share."""
    return [
        TrialRow(
            trial=f"{word}-{number}",
            market="m",
            policy="tried",
            is_random=word == "r",
            values={"NUMBER": str(number), "HALF": str(number % 2)},
            start=START,
            returns=tuple(map(float, returns)),
        )
        for number, returns in enumerate(table.T)
    ]


def judged(table: Floats, lengths: WalkForward = LENGTHS, more_ever: int = 0) -> Judgement:
    rows = rows_from(table)
    earlier = rows_from(noise(99, columns=more_ever, days=50), "earlier")
    return judge(rows, rows_from(noise(1_000, columns=20), "r"), [*rows, *earlier], lengths)


def planted(seed: int) -> Floats:
    table = noise(seed)
    table[:, 7] += 4e-4
    return table


def test_a_lucky_parameter_is_seen_as_one() -> None:
    """The best of thirty coin-tossers has a Sharpe ratio of about two a year; in eight worlds none passes for skill."""
    for seed in range(8):
        found = judged(noise(seed))
        best = max(found.ranked, key=lambda one: one.sharpe)
        assert best.sharpe * np.sqrt(365.0) > 1.0
        assert best.deflated is not None
        assert best.deflated < 0.95
        assert found.why_luck


def test_a_planted_edge_is_found_by_every_past_and_called_more_than_luck() -> None:
    found = judged(planted(1))
    first = found.ranked[0]
    assert first.row.trial == "t-7"
    assert first.chosen == len(found.steps) == 4
    assert found.overfitting is not None
    assert found.overfitting < 0.05
    assert first.by_chance == pytest.approx(1 / 21)
    assert found.why_luck == ()
    assert "more than luck by all four" in "\n".join(sweep_lines(found, LENGTHS, frozenset()))


def test_every_trial_ever_run_makes_the_first_one_less_likely() -> None:
    alone, after_many = judged(planted(2)), judged(planted(2), more_ever=2_000)
    assert after_many.trials_ever == alone.trials_ever + 2_000
    one, other = alone.ranked[0].deflated, after_many.ranked[0].deflated
    assert one is not None
    assert other is not None
    assert other < one


def test_the_deflated_ratio_is_that_of_the_statistics_room() -> None:
    table = planted(3)
    found = judged(table)
    sharpes = [column.mean() / column.std(ddof=1) for column in table.T]
    for one in found.ranked:
        expected = deflated_sharpe(record_of(one.row.returns), TRIALS, float(np.var(sharpes, ddof=1)))
        assert one.deflated == pytest.approx(expected, abs=1e-12)


def test_a_step_chooses_on_its_past_alone_and_is_paid_by_what_came_after() -> None:
    table = noise(4)
    table[:120, 3] += 1e-2  # brilliant in the first past, and only there
    first = judged(table).steps[0]
    assert first.chosen.trial == "t-3"
    assert first.window.judged_on.start_at == START + timedelta(days=141)
    assert first.later_return == pytest.approx(table[141:201, 3].sum(), abs=1e-12)
    later = table[141:201].mean(axis=0) / table[141:201].std(axis=0, ddof=1)
    assert first.later_rank == pytest.approx((later < later[3]).sum() / (TRIALS - 1))


def test_later_is_the_ratio_of_all_judged_days_and_ranks_the_trials() -> None:
    table = noise(5)
    found = judged(table)
    days = table[141:381]
    expected = days.mean(axis=0) / days.std(axis=0, ddof=1)
    assert {one.row.trial: one.later for one in found.ranked} == {
        f"t-{number}": pytest.approx(sharpe, abs=1e-12) for number, sharpe in enumerate(expected)
    }
    assert [one.later for one in found.ranked] == pytest.approx(sorted(expected, reverse=True))


def test_trials_that_never_traded_or_ended_early_are_counted_and_not_ranked() -> None:
    table = noise(6)
    table[:, 4] = 0.0
    rows = rows_from(table)
    rows[9] = rows[9].model_copy(update={"ended_early": True, "returns": rows[9].returns[:50]})
    found = judge(rows, [], rows, LENGTHS)
    assert {row.trial for row in found.left_out} == {"t-4", "t-9"}
    assert found.trials_ever == TRIALS
    text = "\n".join(sweep_lines(found, LENGTHS, frozenset()))
    assert "1 trials ended early" in text
    assert "1 trials never traded" in text


def test_a_value_stands_with_the_mean_of_its_trials() -> None:
    found = judged(noise(7))
    count, mean = by_value(found.ranked)["HALF", "1"]
    assert count == TRIALS // 2
    assert mean == pytest.approx(np.mean([one.sharpe for one in found.ranked if one.row.values["HALF"] == "1"]))


@pytest.mark.parametrize(("days", "columns"), [(5, 4), (60, 1), (3, 1), (60, 0)])
def test_too_little_to_judge_by_is_said_and_is_not_skill(days: int, columns: int) -> None:
    found = judged(noise(8, columns, days))
    assert found.walked_sharpe is None
    assert found.no_windows
    assert found.why_luck or not found.ranked
    lines = "\n".join(sweep_lines(found, LENGTHS, frozenset())).splitlines()
    assert all(len(line) <= 80 for line in lines)
