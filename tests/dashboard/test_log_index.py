"""The log index: the same sums as --report, and whatever happens to the files of a log."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from core.results.earnings import earnings
from dashboard.log_index.index import LogIndex
from logging_utils import read_earnings
from tests.builders.agent import run_main

LINES = 12


@pytest.fixture(scope="module")
def a_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    arguments = ("--market", "simulated", "--iterations", str(LINES), "--interval", "21600", "--quiet")
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    return folder / "logs"


@pytest.fixture
def log(a_log: Path, tmp_path: Path) -> Path:
    """The same files, to be spoilt."""
    copy = tmp_path / "logs"
    copy.mkdir()
    for path in a_log.glob("*.jsonl"):
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def read(log: Path, work_dir: Path | None = None) -> LogIndex:
    index = LogIndex(log, work_dir)
    index.refresh()
    return index


def first_file(log: Path) -> Path:
    return min(log.glob("decisions-*.jsonl"))


def test_its_sums_are_those_of_the_report(log: Path) -> None:
    index = read(log)
    (account,) = index.accounts()
    assert earnings(index.entries(account), index.steps(account)) == read_earnings(log)[account]
    assert index.count() == LINES


def test_a_second_start_reads_no_line_again(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(log, tmp_path / "work").close()
    monkeypatch.setattr("dashboard.log_index.index.read_line", None)
    assert read(log, tmp_path / "work").count() == LINES


def test_an_index_that_is_no_database_is_made_anew(log: Path, tmp_path: Path) -> None:
    read(log, tmp_path / "work").close()
    (path,) = (tmp_path / "work").glob("*.sqlite")
    path.write_bytes(b"not a database, and long enough to be taken for one" * 100)
    assert read(log, tmp_path / "work").count() == LINES


def test_a_torn_line_waits_for_its_end(log: Path) -> None:
    newest = max(log.glob("decisions-*.jsonl"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-200])
    index = read(log)
    assert index.count() == LINES - 1
    newest.write_bytes(whole)
    index.refresh()
    assert (index.count(), index.notices()) == (LINES, [])


def test_packing_a_file_neither_loses_nor_doubles_a_line(log: Path) -> None:
    index = read(log)
    last, path = index.last_id, first_file(log)
    packed = path.with_name(f"{path.name}-rotated.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    index.refresh()
    assert (index.count(), index.last_id) == (LINES, last)
    assert index.record("simulated-0001", 1) is not None


def test_a_deleted_file_takes_its_lines_along_and_is_named(log: Path) -> None:
    index = read(log)
    name, count = first_file(log).name, len(first_file(log).read_bytes().splitlines())
    first_file(log).unlink()
    index.refresh()
    assert index.count() == LINES - count
    assert index.notices() == [f"{name} is gone: its {count} lines are not shown any more"]


def test_a_file_that_was_cut_is_read_anew(log: Path) -> None:
    index = read(log)
    path = first_file(log)
    kept = path.read_bytes().splitlines(keepends=True)[:1]
    gone = len(path.read_bytes().splitlines()) - 1
    path.write_bytes(b"".join(kept))
    index.refresh()
    assert index.count() == LINES - gone
    assert "was cut" in index.notices()[0]


def test_lines_of_the_future_and_lines_that_are_none_are_counted_not_shown(log: Path) -> None:
    with first_file(log).open("ab") as file:
        file.write(b'{"schema_version": 99, "iteration": 1, "run_id": "x"}\nnot json\n\xff\xfe\n')
    index = read(log)
    assert index.count() == LINES
    (notice,) = index.notices()
    assert "1 line was written by a newer version" in notice
    assert "2 lines cannot be read" in notice


def test_two_runs_at_once_are_two_accounts(log: Path) -> None:
    path = max(log.glob("decisions-*.jsonl"))
    other: dict[str, Any] = json.loads(path.read_bytes().splitlines()[-1]) | {"run_id": "simulated-0002"}
    with path.open("a") as file:
        file.write(json.dumps(other) + "\n")
    index = read(log)
    assert index.accounts() == ["simulated-0002", "simulated-0001"]
    assert [index.count(account) for account in index.accounts()] == [1, LINES]


def test_an_empty_folder_says_where_logs_are(log: Path) -> None:
    assert read(log.parent).notices() == [
        f"no decision log in {log.parent} yet; there are some in logs: start the dashboard on that folder"
    ]
    assert read(log / "nowhere").notices() == [f"there is no folder {log / 'nowhere'}"]
