"""What the command for the whole campaign makes of the figures of its suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.bends.breaches import looks_at
from tests.campaign.bends.example_trace import clean_story
from tests.campaign.report.everything import problems_of, rows_of
from tests.campaign.report.figures import Figures
from tests.campaign.report.runner import result_of

CLEAN = {
    **{f"{name} {seed}": "0" for name in ("duplicates", "unlogged", "unparsable", "other breaches") for seed in (1, 2)},
    **{"orders among kills 1": "190", "orders among kills 2": "190", "kills 1": "500", "kills 2": "500"},
    **{"outside in _kills_first": "0", "outside in _fuzz": "0"},
    **{"defects 0": "23", "defects caught 0": "23", "missed 0": "", "slowest defect 0": "97"},
    **{"defects 1": "23", "defects caught 1": "23", "missed 1": "", "slowest defect 1": "149"},
    **{"fuzz": "0, 0 of 200006", "canary": "0", "canary runs": "140 runs, 1.2 MB", "bad input": "69 of 69"},
    **{"dry run": "0", "seconds": "1140"},
}

REQUESTS = "sends per label; attempts per read; requests per iteration, per look in the worst storm"


def rows(measured: dict[str, str], figures: Figures | None = None) -> dict[str, str]:
    figures = figures or Figures(1, 0)
    figures.requests[8] += 1
    return {row.figure.partition(":")[0]: row.measured for row in rows_of(figures, measured)}


def test_suites_that_found_nothing_are_no_problem_and_their_halves_are_added_up() -> None:
    assert problems_of(CLEAN) == []
    table = rows(CLEAN)
    assert table["SIGKILLs"] == "0, 0, 0 of 1,000"
    assert table["seeded defects caught within 200 schedules"] == "46 of 46 (slowest after 149)"
    assert table["the whole campaign on two cores"].startswith("19 minutes")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("duplicates 2", "1", "duplicates: 1"),
        ("unlogged 1", "3", "unlogged: 3"),
        ("unparsable 1", "1", "unparsable: 1"),
        ("other breaches 2", "2", "other breaches: 2"),
        ("kills 2", "400", "kills: 900; orders among kills: 380"),
        ("orders among kills 1", "9", "kills: 1000; orders among kills: 199"),
        ("outside in _fuzz", "1", "outside in: 1"),
        ("missed 1", "no_latch", "not caught: no_latch"),
        ("fuzz", "1, 0 of 200006", "fuzz: 1, 0 of 200006"),
        ("fuzz", "0, 1 of 200006", "fuzz: 0, 1 of 200006"),
        ("canary", "1", "canary: 1"),
        ("bad input", "68 of 69", "bad input: 68 of 69"),
        ("dry run", "tests/guards/test_network_guard.py fails", "dry run: tests/guards/test_network_guard.py fails"),
    ],
)
def test_whatever_a_suite_found_fails_the_command(name: str, value: str, problem: str) -> None:
    assert "; ".join(problems_of(CLEAN | {name: value})) == problem


def test_requests_of_looks_at_resting_orders_are_not_added_to_those_of_their_iteration(tmp_path: Path) -> None:
    story = clean_story(tmp_path)
    for look in (1, 2, 3):
        looks_at(story, look)
    result, without = (result_of(trace, [], 0.0) for trace in (story.trace, clean_story(tmp_path).trace))
    assert result.requests_by_iteration == without.requests_by_iteration
    assert (result.requests_by_look, without.requests_by_look) == ({1: 3}, {})

    figures = Figures(1, 0)
    figures.add(result)
    most = max(without.requests_by_iteration)
    assert rows(CLEAN, figures)[REQUESTS] == f"1; at most 3; {most} (p99 {most}), 1 (p99 1)"
    assert rows(CLEAN)[REQUESTS].endswith("8 (p99 8), none")


def test_what_was_not_caught_and_what_kills_broke_stands_in_the_table() -> None:
    table = rows(CLEAN | {"missed 0": "no_latch", "defects caught 0": "22", "other breaches 1": "4"})
    assert table["seeded defects caught within 200 schedules"] == "45 of 46 (slowest after 149), not no_latch"
    assert table["SIGKILLs"] == "0, 0, 0 of 1,000 (4 other breaches)"
