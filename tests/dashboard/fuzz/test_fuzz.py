"""Requests that nobody would send; `python -m tests.dashboard.fuzz` sends 20,000 of them."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.dashboard.fuzz.__main__ import fuzzed
from tests.dashboard.fuzz.dice import a_request

REQUESTS = 300


def test_whatever_is_asked_no_answer_is_one_of_500_and_no_file_changes(tmp_path: Path) -> None:
    found = fuzzed(tmp_path, REQUESTS, seed=13)
    assert [one.problem for one in found.failed] == []
    assert found.changed == []
    assert found.counts.total() == REQUESTS
    assert min(found.counts[status] for status in (200, 303, 403, 404, 405, 421, 422)) > 0  # all rooms are reached


def test_the_same_seed_asks_the_same() -> None:
    one, other = ([a_request(Random(seed), [b"x"]) for _ in range(5)] for seed in (1, 1))
    assert one == other
