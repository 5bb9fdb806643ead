"""The catalogue rows that need real processes, sockets and files: each does what the catalogue demands of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deribit.unexpected import UnexpectedReplies
from tests.campaign.live.all_rows import SCENARIOS
from tests.campaign.live.log_rows import every_torn_order_line
from tests.campaign.live.wire_rows import forget_certificates

# How many variants a row has; each is seen at least once.
SEEDS = {"T04": 3, "T11": 2, "T13": 2, "P02": 6, "P03": 2, "P07": 3, "P09": 2, "P10": 4, "D06": 2, "D10": 12, "R02": 5}
SEEDS |= {"T21": 2, "T23": 2, "C04": 3, "R03": 3, "R04": 3, "D08": 2, "X42": 3}
CASES = [(row, seed) for row in SCENARIOS for seed in range(SEEDS.get(row, 1))]


@pytest.fixture(autouse=True, scope="module")
def no_certificates_left() -> Iterator[None]:
    yield
    forget_certificates()


@pytest.mark.parametrize(("row", "seed"), CASES, ids=[f"{row}-{seed}" for row, seed in CASES])
def test_the_row_does_what_the_catalogue_demands(row: str, seed: int, tmp_path: Path) -> None:
    SCENARIOS[row](seed, tmp_path)


@pytest.mark.parametrize("deaf", ["_save", "_say", "look_at_envelope"])
def test_the_row_notices_an_agent_that_says_or_keeps_no_unknown_field(
    deaf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnexpectedReplies, deaf, lambda *_: None)
    with pytest.raises((AssertionError, FileNotFoundError)):
        SCENARIOS["X42"](0, tmp_path)


def test_an_order_line_torn_at_any_byte_is_set_aside_whole(tmp_path: Path) -> None:
    assert every_torn_order_line(tmp_path) > 200
