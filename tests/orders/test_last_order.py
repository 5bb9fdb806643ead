"""The mark of an account's last order: written whole, and doubted where it cannot be read."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from models import LogWriteError
from orders.last_order import read_mark, write_mark
from orders.order_log import OrderLogFile
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.paper import START

LATER = START + timedelta(days=1)


def _full(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_mark_says_when_the_last_order_was_about_to_leave(tmp_path: Path) -> None:
    mark = tmp_path / "not" / "there" / "yet"
    for moment in (START, LATER):
        write_mark(mark, moment)
        assert (read_mark(mark, LATER), list(mark.parent.iterdir())) == (moment, [mark])
    assert mark.stat().st_mode & 0o777 == 0o600


def test_without_a_mark_there_was_no_order(tmp_path: Path) -> None:
    assert read_mark(tmp_path / "mark", LATER) is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"yesterday", b"2026-01-05T12:00:00", b"2026-", b"0" * 10_000])
def test_a_mark_that_cannot_be_read_counts_as_an_order_of_this_moment(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mark").write_bytes(content)
    assert read_mark(tmp_path / "mark", LATER) == LATER


def test_a_folder_in_place_of_the_mark_counts_as_an_order_of_this_moment(tmp_path: Path) -> None:
    assert read_mark(tmp_path, LATER) == LATER


def test_a_mark_that_the_disk_refuses_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mark(tmp_path / "mark", START)
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(LogWriteError, match="cannot be written"):
        write_mark(tmp_path / "mark", LATER)
    assert read_mark(tmp_path / "mark", LATER) == START


@pytest.mark.parametrize(
    ("content", "left"),
    [("2026-01-05T12:00", 60.0), ("9999-12-31T23:59:59+00:00", 60.0), ("0001-01-01T00:00:00+00:00", 0.0)],
)
def test_whatever_the_mark_says_the_wait_is_between_nothing_and_a_minute(
    tmp_path: Path, content: str, left: float
) -> None:
    (tmp_path / "mark").write_text(content)
    log = OrderLogFile(tmp_path / "logs", SimulatedClock(START), "test-0001", "test", tmp_path / "mark")
    log.rest_after_last_order()
    assert log.lapse_left_seconds() == pytest.approx(left, abs=1e-6)
