"""The 69 rows of bad input, tried one after the other: `python -m tests.campaign.bad_input` prints a line a row.

In: the cases of the five tables. Out: `run_all(folder)`, whether each row is answered as the catalogue says in every
one of its cases. The agent is the real one; the network is this machine only, and what tries to leave it is refused.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.campaign.bad_input import answers as bad_input_answers
from tests.campaign.bad_input import files as bad_input_files
from tests.campaign.bad_input import policies as bad_input_policies
from tests.campaign.bad_input import starts as bad_input_starts
from tests.campaign.bad_input import values as bad_input_values
from tests.campaign.bad_input.cases import Case
from tests.campaign.canary import network_guard

CASES: tuple[Case, ...] = (
    *bad_input_starts.CASES,
    *bad_input_values.CASES,
    *bad_input_policies.CASES,
    *bad_input_answers.CASES,
    *bad_input_files.CASES,
)
ROWS = tuple(f"B{number:02d}" for number in range(1, 70))


def problems_of_rows(folder: Path) -> dict[str, list[str]]:
    """What is not as the catalogue says, by row; a case gets a folder of its own below the one given."""
    found: dict[str, list[str]] = {row: [] for row in ROWS}
    for number, case in enumerate(CASES):
        below = folder / f"{number:03d}"
        below.mkdir(parents=True)
        found[case.row] += [f"{case.name}: {problem}" for problem in _problems_of(case, below)]
    return found


def _problems_of(case: Case, folder: Path) -> list[str]:
    """One row's crash must not hide the other rows; it is a problem of its own."""
    try:
        return case.problems(folder)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the agent lets out
        return [f"it ended with a traceback: {type(error).__name__}: {error}"]


def run_all(folder: Path) -> dict[str, bool]:
    """Whether each row is answered as the catalogue says."""
    return {row: not problems for row, problems in problems_of_rows(folder).items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.bad_input", description=__doc__)
    parser.parse_args()
    network_guard.install()
    with tempfile.TemporaryDirectory() as name:
        rows = problems_of_rows(Path(name))
    for row, problems in rows.items():
        cases = sum(case.row == row for case in CASES)
        print(f"{row}  {'ok' if not problems else 'NOT AS IT SHOULD BE'}  ({cases} cases)")
        for problem in problems:
            print(f"     {problem}")
    good = sum(not problems for problems in rows.values())
    print(f"{good} of {len(rows)} rows, {len(CASES)} cases")
    return 0 if good == len(rows) else 1
