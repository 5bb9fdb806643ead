"""Every row of the catalogue of bad input, each in all its cases: the reason, the exit code, and nothing on the wire.

The cases and what they expect are in tests/campaign/bad_input/; here each one is run and the tables are counted.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.agent import Ended
from tests.campaign.bad_input import rows as bad_input
from tests.campaign.bad_input.cases import (
    CLIENT_SECRET,
    LOOK_ONLY,
    Case,
    Start,
    contacts,
    problems_of,
    refused,
    run_at_exchange,
)


@pytest.mark.parametrize("case", bad_input.CASES, ids=lambda case: f"{case.row} {case.name}"[:60])
def test_bad_input_is_answered_as_the_catalogue_says(case: Case, tmp_path: Path) -> None:
    assert case.problems(tmp_path) == []


def test_every_row_has_a_case_and_no_case_is_without_a_row() -> None:
    assert {case.row for case in bad_input.CASES} == set(bad_input.ROWS)
    assert len(bad_input.ROWS) == 69


# --- the checks can fail -------------------------------------------------------------------------------


def test_a_start_that_reaches_for_the_network_is_seen(tmp_path: Path) -> None:
    _, reached = run_at_exchange(Start(), tmp_path)
    assert any("127.0.0.1" in address for address in reached)


def test_outside_of_a_start_contacts_are_not_counted() -> None:
    with contacts() as reached:
        pass
    assert reached == []


def test_settings_that_are_fine_do_not_count_as_refused(tmp_path: Path) -> None:
    problems = refused("B00", "nothing is wrong", "required", arguments=LOOK_ONLY, lines=2).problems(tmp_path)
    assert [problem.split(":")[0] for problem in problems] == [
        "exit code 1 instead of 2",
        f"no word of 'required' in 'there is no decision log in {tmp_path}/logs yet\\n'",
        "1 lines on stderr instead of 2",
    ]


@pytest.mark.parametrize(
    ("ended", "problem"),
    [
        (Ended(1, "", "BTC_DELTA_MIN"), "exit code 1 instead of 2"),
        (Ended(2, "", "something else"), "no word of 'BTC_DELTA_MIN'"),
        (Ended(2, "", "BTC_DELTA_MIN Traceback (most recent call last)"), "a traceback on the console"),
        (Ended(2, CLIENT_SECRET, "BTC_DELTA_MIN"), "a secret on the console"),
    ],
)
def test_each_thing_that_is_wrong_with_an_end_is_named(ended: Ended, problem: str, tmp_path: Path) -> None:
    (found,) = problems_of(ended, tmp_path, 2, ["BTC_DELTA_MIN"])
    assert found.startswith(problem)


def test_a_secret_in_a_file_of_the_run_is_found(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "decisions.jsonl").write_text(CLIENT_SECRET)
    assert problems_of(Ended(0, "", ""), tmp_path, 0, []) == ["a secret in decisions.jsonl"]
