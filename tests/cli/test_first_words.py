"""What is said before anything heavy is imported, and what can be imported on a system without locks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.arguments import parse_arguments
from cli.assembly import Agent
from cli.commands import run_command
from config import PROJECT_FOLDER
from models import AgentError, ConfigurationError
from orders.order_trial import OrderTrial


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=PROJECT_FOLDER, capture_output=True, text=True, check=False)


def test_on_windows_one_true_sentence_is_said() -> None:
    ended = python("import sys, runpy; sys.platform = 'win32'; runpy.run_path('cli/first_words.py')")
    said = "this agent runs on Linux and macOS; on Windows, run it in WSL\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)


def test_the_environment_and_the_log_readers_are_imported_without_locks() -> None:
    ended = python("import sys; sys.modules['fcntl'] = None; import logging_utils, backtest.env_simulator")
    assert (ended.returncode, ended.stderr) == (0, "")


def no_trial(_: Agent) -> OrderTrial:
    raise AssertionError("no test order was asked for")


@pytest.mark.parametrize("error", [ConfigurationError(), AgentError(""), OSError()])
def test_no_run_ends_without_words(error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*_: object) -> int:
        raise error

    options = parse_arguments(["--market", "simulated", "--log-dir", str(tmp_path), "--data-dir", str(tmp_path / "d")])
    assert run_command(options, fails, no_trial, fails) > 0
    assert type(error).__name__ in capsys.readouterr().err
