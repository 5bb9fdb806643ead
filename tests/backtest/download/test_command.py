"""`python -m backtest.download` as a person types it: exit codes, words, and a process that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backtest.download.__main__ import main
from backtest.download.paging import EMPTY_ATTEMPTS
from tests.backtest.download.history_server import (
    CANDLES,
    TRADES,
    HistoryServer,
    World,
    empty_page,
    make_trades,
    redirect,
    serving,
)

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[HistoryServer]:
    with serving(World(trades=make_trades(3_000))) as (running, _):
        yield running


@pytest.fixture
def run(server: HistoryServer, tmp_path: Path) -> Callable[..., int]:
    """The command on the test's server and clock, into a folder of its own."""
    return lambda *arguments: main([*options(server, tmp_path), *arguments], server.clock)


def options(server: HistoryServer, folder: Path) -> list[str]:
    urls = ["--main-url", server.addresses.main, "--history-url", server.addresses.history]
    return [*urls, "--out", str(folder), "--coins", "BTC", "--quiet"]


def test_it_downloads_and_says_what_came(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--from", "2024-01-01", "--to", "2024-01-11") == 0
    printed = capsys.readouterr().out
    assert "candles         BTC        240 rows, 0 gaps" in printed
    assert "dvol            BTC        240 rows, 0 gaps" in printed
    assert "instruments     BTC          3 rows, 0 gaps" in printed
    assert "trades" not in printed
    assert "incomplete" not in printed


def test_without_an_end_it_stops_at_the_last_finished_hour(run: Callable[..., int], tmp_path: Path) -> None:
    """It is half past twelve: the candle of twelve o'clock is not finished."""
    assert run("--from", "2024-02-29", "--data", "candles") == 0
    last = (tmp_path / "candles" / "BTC_1h.csv").read_text().splitlines()[-1]
    assert last.startswith("2024-03-01 11:00:00+00:00,")


def test_doubts_are_said_and_give_exit_code_1(
    run: Callable[..., int], server: HistoryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fail(CANDLES, *[empty_page] * EMPTY_ATTEMPTS)
    assert run("--from", "2024-01-01", "--to", "2024-01-02", "--data", "candles") == 1
    printed = capsys.readouterr().out
    assert "doubtful: nothing came before 2024-01-02" in printed
    assert "incomplete: the same command goes on" in printed


def test_a_redirect_gives_exit_code_5(
    run: Callable[..., int], server: HistoryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fail(CANDLES, redirect)
    assert run("--from", "2024-01-01", "--data", "candles") == 5
    assert "redirect, which is never followed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("start", "end"), [("2024-01-02", "2024-01-02"), ("2024-01-02", "2024-01-01"), ("2030-01-01", "")]
)
def test_an_empty_period_is_said_in_a_sentence(
    start: str, end: str, run: Callable[..., int], server: HistoryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--from", start, *(["--to", end] if end else [])) == 2
    assert f"nothing lies between --from {start}" in capsys.readouterr().err
    assert server.requests == []


def test_a_foreign_host_is_refused_before_anything_is_asked(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--from", "2024-01-01", "--main-url", "https://example.org") == 2
    assert "https://example.org: data comes from" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--from", "yesterday"], ["--data", "books"], ["--coins", "SOL"], ["--keys", "1"], []]
)
def test_a_wrong_command_line_ends_with_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--quiet", *arguments])
    assert ended.value.code == 2


def test_a_disk_that_refuses_is_said_in_a_sentence(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "candles").write_text("a file where the folder should be")
    assert run("--from", "2024-01-01", "--data", "candles") == 1
    assert "what is finished stays" in capsys.readouterr().err


def test_what_is_older_than_the_index_is_said_to_be_no_gap(
    run: Callable[..., int], server: HistoryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--from", "2021-03-20", "--to", "2021-03-23", "--data", "dvol") == 0
    printed = capsys.readouterr().out
    assert (
        "dvol            BTC          0 rows, 0 gaps\n    nothing older than 2021-03-24 00:00:00+00:00 exists"
        in printed
    )
    assert server.requests == []


# --- a real process ------------------------------------------------------------------------------------------


class Hold:
    """A fault that answers nothing until it is let go, and tells that it has been reached."""

    def __init__(self) -> None:
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, handler: Any, body: Any) -> None:
        self.reached.set()
        self.released.wait(30.0)
        handler.close_connection = True


@pytest.mark.parametrize("wanted", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_it_goes_on_where_it_was(
    wanted: signal.Signals, server: HistoryServer, tmp_path: Path
) -> None:
    """The candles are there, the trades hang when the process ends: the next run asks for trades alone."""
    folder, clean = tmp_path / "killed", tmp_path / "clean"
    period = ["--from", "2024-01-01", "--to", "2024-01-01T16:00", "--data", "candles", "trades"]
    hold = Hold()
    server.fail(TRADES, hold)
    command = [sys.executable, "-m", "backtest.download", *options(server, folder), *period]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        is_hanging = hold.reached.wait(30.0)
        process.send_signal(wanted if is_hanging else signal.SIGKILL)
    hold.released.set()
    assert is_hanging
    assert process.returncode == (1 if wanted == signal.SIGINT else -signal.SIGKILL)

    server.requests.clear()
    assert main([*options(server, folder), *period], server.clock) == 0
    assert server.asked(CANDLES) == []
    assert len(server.asked(TRADES)) == 3
    assert main([*options(server, clean), *period], server.clock) == 0
    for name in ("candles/BTC_1h.csv", "trades/BTC_2024-01-01.csv.gz", "gaps.csv"):
        assert (folder / name).read_bytes() == (clean / name).read_bytes()


def test_without_the_progress_bar_it_says_what_to_install() -> None:
    hidden = "import runpy, sys; sys.modules['tqdm'] = None; runpy.run_module('backtest.download', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", hidden], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "the progress bar is missing: pip install -r backtest/requirements.txt\n"
