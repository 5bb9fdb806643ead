"""What a command of this folder says to a word it does not know: short lines, and the nearest option."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import pytest

from config import PROJECT_FOLDER

COMMANDS = [
    ("run", ("--polcy", "mine"), "did you mean --policy?"),
    ("run", ("--exit", "never"), "invalid choice: 'never'"),
    ("calibrate", ("chains", "--candels", "here", "--dvol", "there"), "did you mean --candles?"),
    ("download.__main__", ("--form", "2024-01-01"), "did you mean --from?"),
    ("sweep.__main__", ("--worker", "two"), "--workers"),
    ("replay.__main__", ("logs", "--wach"), "did you mean --watch?"),
    ("evaluate.__main__", ("logs", "--polisy", "mine"), "did you mean --policy?"),
]


@pytest.mark.parametrize(("command", "words", "answer"), COMMANDS)
def test_a_command_names_the_nearest_option_in_lines_of_eighty_letters(
    command: str, words: tuple[str, ...], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module(f"backtest.{command}").main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert answer in said.replace("\n  ", " ")
    assert max(map(len, said.splitlines())) <= 80


def test_what_was_typed_behind_an_unknown_option_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        import_module("backtest.calibrate").main(("--clientsecret=abc123", "xyz789"))
    said = capsys.readouterr().err
    assert "abc123" not in said
    assert "xyz789" not in said


SAYS_SOMETHING = """
import sys
from backtest.refusals import refused
try:
    print(1, flush=True)
except OSError as error:
    sys.exit(refused("run", error))
"""


def test_a_reader_who_has_gone_is_no_reason_for_a_word() -> None:
    """As `python -m backtest.run | head -1` has it."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = subprocess.run(
        [sys.executable, "-c", SAYS_SOMETHING], cwd=PROJECT_FOLDER, stdout=write_end, stderr=subprocess.PIPE
    )
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (2, b"")
