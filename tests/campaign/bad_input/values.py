"""Rows B20 to B41, B33 aside: values of settings, and the command line.

In: nothing. Out: `CASES`. The table's list of underlyings is BTC_ENABLED and ETH_ENABLED here, and a coin without a
section of its own has its defaults. No network at all.
"""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import config
from tests.campaign.bad_input.cases import CLIENT_SECRET, RUN_ONCE, Case, Start, accepted, problems_of, refused

SETTINGS_ONLY = ("--once",)
AGENT_FILE = config.PROJECT_FOLDER / "agent_loop.py"


# --- values (B20 to B32) ---------------------------------------------------------------------------------------


def _value(row: str, name: str, text: str, *words: str, lines: int = 1) -> Case:
    return refused(row, f"{name}={text}", name, *words, lines=lines, settings={name: text})


def _pair(row: str, first: str, second: str, words: str) -> Case:
    names = dict(line.split("=") for line in (first, second))
    return refused(row, f"{first} {second}", words, settings=names)


def _no_space(handle: int, content: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _log_dir_on_a_full_disk(folder: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", _no_space)
        return refused("B28", "", "No space left on device").problems(folder)


def _folder_is_a_file(folder: Path) -> None:
    (folder / "logs").write_text("not a folder")


NOT_NUMBERS = ("nan", "inf", "1e400", "0x10", "1,5", "\uff11\uff12", "true", "")
NO_DECISIONS = ("--data-dir", "{folder}/data", *SETTINGS_ONLY)
VALUES = [
    *(_value("B20", "BTC_DELTA_MIN", text, "must be a finite number", "> 0, < 1") for text in NOT_NUMBERS),
    _value("B20", "BTC_DELTA_MIN", "-1", "greater than 0", "> 0, < 1"),
    _pair("B21", "BTC_DELTA_MIN=0.4", "BTC_DELTA_MAX=0.3", "BTC: delta_min 0.4 is above delta_max 0.3"),
    _pair("B21", "ETH_DTE_MIN=10", "ETH_DTE_MAX=9", "ETH: dte_min 10 is above dte_max 9"),
    _value("B22", "BTC_DELTA_MAX", "1", "less than 1"),
    _value("B22", "BTC_DELTA_MIN", "0", "greater than 0"),
    _value("B22", "BTC_DTE_MIN", "-3", "greater than or equal to 0"),
    _value("B22", "BTC_DTE_MAX", "401", "less than or equal to 400"),
    _value("B22", "ETH_IVRV_MIN", "-0.1", "greater than or equal to 0"),
    _value("B23", "RISK_MAX_MARGIN_PCT", "0.8", "percent (1 to 100)"),
    _value("B23", "RISK_MAX_NET_DELTA_FRACTION", "60", "as a fraction"),
    *(_value("B24", "AGENT_INTERVAL_SECONDS", text, "86400") for text in ("0", "-5", "0.5", "1000000000")),
    refused("B24", "--interval 0.5", "--interval=0.5", "86400", arguments=("--interval", "0.5", *RUN_ONCE)),
    _value("B25", "BTC_MAX_ORDER_SIZE", "0", "greater than 0"),
    _value("B25", "BTC_MAX_ORDER_SIZE", "101", "less than or equal to 100"),
    _value("B25", "BTC_MAX_ORDER_SIZE", "0.55", "multiple of 0.1"),
    _value("B25", "BTC_ORDER_SIZE", "0.15", "multiple of 0.1"),
    _value("B25", "ETH_ORDER_SIZE", "0.5", "multiple of 1"),
    _pair("B26", "BTC_ENABLED=false", "ETH_ENABLED=false", "no coin to trade"),
    _value("B26", "DOGE_ENABLED", "true", "unknown setting"),
    _value("B26", "AGENT_UNDERLYINGS", '["btc"]', "unknown setting"),
    accepted("B26", "btc_enabled", settings={"btc_enabled": "true"}),
    refused("B26", "twice", "BTC_ENABLED appears more than once", env_file=b"BTC_ENABLED=true\nBTC_ENABLED=true\n"),
    accepted("B27", "a coin without a setting has its defaults", settings={"BTC_ENABLED": "true"}),
    _value("B27", "BTC", "", "unknown setting"),
    refused("B28", "is a file", "logs", prepare=_folder_is_a_file),
    refused(
        "B28",
        "cannot be written",
        "AGENT_LOG_DIR",
        settings={"AGENT_LOG_DIR": "/proc/self/made-up"},
        arguments=NO_DECISIONS,
    ),
    refused(
        "B28",
        "../..",
        "AGENT_LOG_DIR",
        "must not contain ..",
        settings={"AGENT_LOG_DIR": "../.."},
        arguments=NO_DECISIONS,
    ),
    Case("B28", "full disk", _log_dir_on_a_full_disk),
    _value("B28", "RISK_KILL_FILE", "$HOME/STOP", "must not contain $"),
    _value("B28", "RISK_KILL_FILE", "'data/STOP '", "must not begin or end with a space"),
    _value("B28", "RISK_KILL_FILE", "{folder}/nowhere/STOP", "nowhere does not exist"),
    _value("B28", "AGENT_LOG_DIR", "${HOME}/logs", "is not replaced"),
    accepted("B28", "a kill file in the home folder", settings={"RISK_KILL_FILE": "~/STOP"}),
    _value("B29", "RISK_PRICE_COLLAR_PCT", "0", "greater than 0"),
    _value("B29", "RISK_PRICE_COLLAR_PCT", "50.1", "less than or equal to 50"),
    *(
        refused("B30", repr(text), "AGENT_DRY_RUN", "must be true or false", environment={"AGENT_DRY_RUN": text})
        for text in ("maybe", "2", "yes ", "", "True")
    ),
    accepted(
        "B31",
        "the file says true",
        "this is a dry run",
        settings={"AGENT_DRY_RUN": "true"},
        environment={"AGENT_DRY_RUN": "false"},
    ),
    accepted(
        "B31",
        "the environment says true",
        "this is a dry run",
        settings={"AGENT_DRY_RUN": "false"},
        environment={"AGENT_DRY_RUN": "true"},
    ),
    *(_value("B32", "DERIBIT_TIMEOUT_SECONDS", text, ">= 1, <= 9") for text in ("0", "None", "3600")),
]


# --- the command line (B34 to B41) ---------------------------------------------------------------------------------


def _option(row: str, *typed: str, words: str) -> Case:
    return refused(row, " ".join(typed), words, lines=2, arguments=(*typed, *RUN_ONCE))


def _from_elsewhere(folder: Path) -> list[str]:
    """Settings name folders beside the agent's own files, wherever it was started."""
    with pytest.MonkeyPatch.context() as patch:
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        patch.chdir(elsewhere)
        patch.setattr(config, "PROJECT_FOLDER", folder / "project")
        settings = {"AGENT_LOG_DIR": "my_logs", "AGENT_DATA_DIR": "my_data"}
        ended, reached = Start(settings, arguments=("--market", "simulated", "--once")).run(folder)
    found = problems_of(ended, folder, 0, ()) + [f"it tried {address}" for address in reached]
    found += [] if list((folder / "project" / "my_logs").rglob("*.jsonl")) else ["no log beside the agent's own files"]
    return found + [f"{path} was written into the folder it was started in" for path in elsewhere.iterdir()]


def _answers_with_broken_settings(option: str, words: str) -> Case:
    broken = {"BTC_DELTA_MINN": "1", "RISK_MAX_MARGIN_PCT": "lots"}
    return accepted("B40", option, words, code=0, settings=broken, arguments=(option,))


def _too_old(version: tuple[int, int]) -> Case:
    """The file's head in an interpreter that calls itself older; and the whole file is one that it could read."""

    def problems(folder: Path) -> list[str]:
        source = AGENT_FILE.read_text(encoding="utf-8")
        ast.parse(source, feature_version=version)
        code = (
            f"import sys; sys.version_info = {(*version, 0, 'final', 0)}; exec(compile(sys.stdin.read(), 'x', 'exec'))"
        )
        done = subprocess.run([sys.executable, "-c", code], input=source, capture_output=True, text=True, check=False)
        found = [] if done.returncode == 2 else [f"exit code {done.returncode} instead of 2"]
        found += [] if done.stderr == "Python 3.11 or newer is needed\n" else [f"it says {done.stderr!r}"]
        return found

    return Case("B41", ".".join(map(str, version)), problems)


COMMAND_LINE = [
    _option("B34", "--dryrun", words="did you mean --dry-run?"),
    _option("B34", "--dry", words="did you mean --dry-run?"),
    _option("B35", "--dry-run", "--live", words="unrecognized arguments: --live"),
    _option("B35", "--iterations", "3", words="contradict each other"),
    _option("B36", "--interval", "abc", words="argument --interval"),
    _option("B36", "--iterations", "-1", words="argument --iterations"),
    _option("B36", "--iterations", "0", words="argument --iterations"),
    _option("B36", "--iterations", "1.5", words="argument --iterations"),
    refused("B36", "--interval nan", "--interval=nan", "finite number", arguments=("--interval", "nan", *RUN_ONCE)),
    _option("B37", "--client-secret", CLIENT_SECRET, words="--client-secret"),
    _option("B37", f"--client-secret={CLIENT_SECRET}", words="--client-secret"),
    _option("B38", "--base-url", "https://www.deribit.com", words="unrecognized arguments: --base-url"),
    Case("B39", "paths do not depend on where it is started", _from_elsewhere),
    _answers_with_broken_settings("--help", "--dry-run"),
    _answers_with_broken_settings("--version", "covered-call agent"),
    _too_old((3, 10)),
    _too_old((3, 9)),
]

CASES: tuple[Case, ...] = (*VALUES, *COMMAND_LINE)
