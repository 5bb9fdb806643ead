"""A line is written whole or not at all, nothing is lost, on a good disk and on a bad one."""

from __future__ import annotations

import errno
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from logging_utils import read_records
from models import LogWriteError
from orders.jsonl_file import JsonlLog, files_of_last_days, set_torn_line_aside
from paper_exchange.market.clocks import FollowingClock, SimulatedClock
from tests.builders.disks import disk_full, failing, faulty_disk
from tests.builders.paper import START


def a_log(folder: Path, prefix: str = "decisions") -> JsonlLog:
    return JsonlLog(folder, prefix, SimulatedClock(START))


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The operating system itself cuts writes short beyond this many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- writing ----------------------------------------------------------------------------------------


def test_lines_go_to_one_file_a_day_that_only_its_owner_can_read(tmp_path: Path) -> None:
    clock = SimulatedClock(START)
    log = JsonlLog(tmp_path, "decisions", clock)
    log.write_line("{}")
    clock.sleep(86_400.0)
    log.write_line("{}")
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["decisions-2026-01-05.jsonl", "decisions-2026-01-06.jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_clock_that_steps_back_over_midnight_goes_on_with_the_file_of_that_day(tmp_path: Path) -> None:
    local, log_clock = SimulatedClock(START), FollowingClock(SimulatedClock(START))
    log, today = JsonlLog(tmp_path, "decisions", log_clock), JsonlLog(tmp_path, "decisions", local).path()
    log_clock.follow(START + timedelta(days=1))
    assert log.path() != today
    log_clock.follow(START)
    assert log.path() == today


def test_lines_are_added_and_what_stands_is_never_changed(tmp_path: Path) -> None:
    a_log(tmp_path).write_line('{"a": 1}')
    a_log(tmp_path).write_line('{"a": 2}')
    assert a_log(tmp_path).path().read_text() == '{"a": 1}\n{"a": 2}\n'


def test_a_full_disk_leaves_no_half_line_and_the_next_line_is_whole(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    with disk_full(log.path()), pytest.raises(LogWriteError, match="No space left on device"):
        log.write_line('{"a": 1}')
    log.write_line('{"a": 2}')
    assert log.path().read_text() == '{"a": 2}\n'


@pytest.mark.parametrize("room", range(0, 9))
def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_none_of_it(tmp_path: Path, room: int) -> None:
    log = a_log(tmp_path)
    log.write_line('{"a": 1}')
    with files_no_longer_than(9 + room), pytest.raises(LogWriteError):
        log.write_line('{"a": 2}')
    log.write_line('{"a": 3}')
    assert log.path().read_text() == '{"a": 1}\n{"a": 3}\n'


def test_a_folder_that_cannot_be_looked_at_when_a_day_begins_is_a_log_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, locked = a_log(tmp_path), failing(errno.EACCES)
    with monkeypatch.context() as patch, faulty_disk(write=locked):
        patch.setattr("os.stat", lambda path, **_: locked(Path(path)))
        with pytest.raises(LogWriteError, match="Permission denied"):
            log.write_line("{}")
    log.write_line("{}")
    assert (tmp_path / "decisions-2026-01-05.jsonl").read_text() == "{}\n"


def test_a_line_that_just_fits_is_written(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    with files_no_longer_than(9):
        log.write_line('{"a": 1}')
    assert log.path().read_text() == '{"a": 1}\n'


def test_a_log_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    with pytest.raises(LogWriteError, match="logs cannot be created"):
        a_log(tmp_path / "logs")


@pytest.mark.parametrize("target", ["/dev/full", "/dev/null"])
def test_a_log_file_that_is_no_file_is_refused_at_the_start(tmp_path: Path, target: str) -> None:
    (tmp_path / "decisions-2026-01-05.jsonl").symlink_to(target)
    with pytest.raises(LogWriteError, match="is not a file"):
        a_log(tmp_path)


def test_a_folder_where_a_log_file_should_be_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "decisions-2026-01-05.jsonl").mkdir()
    with pytest.raises(LogWriteError, match="is not a file"):
        a_log(tmp_path)


# --- a disk that breaks --------------------------------------------------------------------------------------


def a_forced_log(folder: Path) -> JsonlLog:
    return JsonlLog(folder, "orders", SimulatedClock(START), force_to_disk=True)


def test_a_line_that_must_last_is_forced_to_disk_and_a_new_file_with_its_folder(tmp_path: Path) -> None:
    forced: list[str] = []
    log = a_forced_log(tmp_path)
    with faulty_disk(fsync=lambda path: forced.append(path.name)):
        log.write_line("{}")
        log.write_line("{}")
    assert forced == ["orders-2026-01-05.jsonl", tmp_path.name, "orders-2026-01-05.jsonl"]


def test_other_lines_are_not_forced_to_disk(tmp_path: Path) -> None:
    with faulty_disk(fsync=failing(errno.EIO)):
        a_log(tmp_path).write_line("{}")


def test_a_file_that_could_not_be_forced_to_disk_is_left_and_another_is_begun(tmp_path: Path) -> None:
    log = a_forced_log(tmp_path)
    log.write_line('{"a": 1}')
    with faulty_disk(fsync=failing(errno.EIO)), pytest.raises(LogWriteError, match="Input/output error"):
        log.write_line('{"a": 2}')
    log.write_line('{"a": 3}')
    assert (tmp_path / "orders-2026-01-05.jsonl").read_text() == '{"a": 1}\n'
    assert (tmp_path / "orders-2026-01-05_2.jsonl").read_text() == '{"a": 3}\n'
    assert read_records(tmp_path / "orders-*.jsonl") == [{"a": 1}, {"a": 3}]


def test_the_later_part_is_gone_on_with_after_a_restart_and_the_next_day_begins_with_one(tmp_path: Path) -> None:
    log = a_forced_log(tmp_path)
    with faulty_disk(fsync=failing(errno.EIO)), pytest.raises(LogWriteError):
        log.write_line('{"a": 1}')
    log.write_line('{"a": 2}')
    assert a_forced_log(tmp_path).path().name == "orders-2026-01-05_2.jsonl"
    tomorrow = JsonlLog(tmp_path, "orders", SimulatedClock(START + timedelta(days=1)), force_to_disk=True)
    assert tomorrow.path().name == "orders-2026-01-06.jsonl"


def test_a_half_line_that_cannot_be_taken_out_again_ends_its_file(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write_line('{"a": 1}')
    with faulty_disk(ftruncate=failing(errno.EIO)), files_no_longer_than(13), pytest.raises(LogWriteError):
        log.write_line('{"a": 2}')
    log.write_line('{"a": 3}')
    assert (tmp_path / "decisions-2026-01-05.jsonl").read_text() == '{"a": 1}\n{"a"'
    assert (tmp_path / "decisions-2026-01-05_2.jsonl").read_text() == '{"a": 3}\n'
    assert read_records(tmp_path) == [{"a": 1}, {"a": 3}]


def test_a_log_that_was_deleted_or_moved_away_goes_on_in_a_new_file(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write_line('{"a": 1}')
    log.path().rename(tmp_path / "moved.jsonl.1")
    log.write_line('{"a": 2}')
    log.path().unlink()
    log.write_line('{"a": 3}')
    assert log.path().read_text() == '{"a": 3}\n'


def renamed(path: Path) -> None:
    path.rename(path.with_suffix(".jsonl.1"))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("happens", [Path.unlink, renamed, emptied])
def test_a_line_that_must_last_counts_as_written_only_where_it_still_is(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    log = a_forced_log(tmp_path)
    log.write_line('{"a": 1}')
    path = log.path()
    with faulty_disk(fsync=lambda _: happens(path)), pytest.raises(LogWriteError, match="cannot be written"):
        log.write_line('{"a": 2}')
    log.write_line('{"a": 3}')
    assert log.path().read_text() == '{"a": 3}\n'


def test_a_file_that_somebody_cut_in_the_middle_of_a_line_is_left_and_another_is_begun(tmp_path: Path) -> None:
    log = a_forced_log(tmp_path)
    log.write_line('{"a": 1}')
    log.path().write_bytes(b'{"a"')
    with pytest.raises(LogWriteError, match="another program cut it"):
        log.write_line('{"a": 2}')
    log.write_line('{"a": 3}')
    assert log.path().name == "orders-2026-01-05_2.jsonl"
    assert log.path().read_text() == '{"a": 3}\n'


def test_a_file_that_was_emptied_while_a_line_failed_is_not_filled_with_zeros(tmp_path: Path) -> None:
    log = a_forced_log(tmp_path)
    log.write_line('{"a": 1}')

    def emptied_and_broken(path: Path) -> None:
        path.write_bytes(b"")
        raise OSError(errno.EIO, "made up")

    with faulty_disk(fsync=emptied_and_broken), pytest.raises(LogWriteError):
        log.write_line('{"a": 2}')
    assert (tmp_path / "orders-2026-01-05.jsonl").read_bytes() == b""


# --- torn lines ------------------------------------------------------------------------------------------


def test_a_line_torn_at_any_byte_is_set_aside_and_never_glued_to_the_next(tmp_path: Path) -> None:
    whole, line = b'{"first": 1}\n', b'{"iteration": 7, "error": "torn here"}'
    log_file, torn_file = tmp_path / "decisions-2026-01-05.jsonl", tmp_path / "decisions-2026-01-05.torn"
    for cut in range(1, len(line) + 1):
        log_file.write_bytes(whole + line[:cut])
        set_torn_line_aside(log_file)
        assert log_file.read_bytes() == whole
        assert torn_file.read_bytes() == line[:cut] + b"\n"
        torn_file.unlink()


def test_what_was_set_aside_is_readable_by_its_owner_only_like_the_log_it_came_from(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write_line('{"a": 1}')
    with log.path().open("ab") as file:
        file.write(b'{"a": ')
    a_log(tmp_path)
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {".jsonl": 0o600, ".torn": 0o600}


@pytest.mark.parametrize("content", [b"", b'{"a": 1}\n'])
def test_a_whole_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "decisions-2026-01-05.jsonl"
    path.write_bytes(content)
    a_log(tmp_path)
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (content, 1)


def test_a_file_that_is_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "decisions-2026-01-05.jsonl"
    path.write_bytes(b'{"a":')
    a_log(tmp_path).write_line('{"a": 2}')
    assert path.read_bytes() == b'{"a": 2}\n'


def test_files_of_the_last_two_days_and_of_all_later_ones_count_in_the_order_of_their_parts(tmp_path: Path) -> None:
    for day in ("03", "04", "05", "05_2", "05_10", "07", "08", "09"):
        (tmp_path / f"orders-2026-01-{day}.jsonl").touch()
    found = [path.stem for path in files_of_last_days(tmp_path, "orders", "2026-01-06")]
    assert found == [f"orders-2026-01-{day}" for day in ("04", "05", "05_2", "05_10", "07", "08", "09")]
