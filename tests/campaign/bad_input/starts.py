"""Rows B01 to B19 and B33: keys, the `.env` file, and which exchange is meant.

In: nothing. Out: `CASES`. The table's JSON file is the `.env` file here. Talks to this machine at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders.agent import decision_lines
from tests.campaign.bad_input.cases import (
    CLIENT_ID,
    CLIENT_SECRET,
    Case,
    Start,
    accepted,
    problems_of,
    refused,
    run_at_exchange,
)

NO_KEY = {"DERIBIT_CLIENT_ID": None, "DERIBIT_CLIENT_SECRET": None}


# --- keys (B01 to B09) -------------------------------------------------------------------------------


def logs_in(row: str, name: str, code: int, *words: str, source: str | None = None, **how: Any) -> Case:
    """A start at an exchange of our own that takes one key. `source`: where the first record says the key is from."""

    def problems(folder: Path) -> list[str]:
        ended, reached = run_at_exchange(Start(**how), folder)
        found = problems_of(ended, folder, code, words)
        found += [] if reached else ["it never reached the exchange"]
        named = [line.get("credentials_source") for line in decision_lines(folder)[:1]]
        if source is not None and named != [source]:
            found.append(f"the first record names {named} as the source of the key, not {source}")
        return found

    return Case(row, name, problems)


def _in_a_folder_below(folder: Path) -> None:
    """The `.env` lies one folder above the one where the agent looks for its own, and holds nonsense."""
    (folder / ".env").write_text("BTC_DELTA_MINN=1\n")


def _parents_file(folder: Path) -> list[str]:
    inner = folder / "project"
    inner.mkdir()
    _in_a_folder_below(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inner)
        return accepted("B08", "", env_file=b"").problems(inner)


KEY = "DERIBIT_CLIENT_SECRET"
KEYS = [
    refused("B01", "no key", "DERIBIT_CLIENT_ID: required", f"{KEY}: required", lines=2, settings=NO_KEY),
    refused("B02", "only the id", f"{KEY}: required", settings={KEY: None}),
    refused("B02", "only the secret", "DERIBIT_CLIENT_ID: required", settings={"DERIBIT_CLIENT_ID": None}),
    refused(
        "B02",
        "the rest under a name of another source",
        f"{KEY}: required",
        settings={KEY: None},
        environment={"CLIENT_SECRET": CLIENT_SECRET},
    ),
    refused("B03", "empty", f"{KEY}: must not be blank", settings={KEY: ""}),
    refused("B03", "blanks", f"{KEY}: must not be blank", settings={KEY: '"   "'}),
    refused("B04", "example secret", f"{KEY}: is still the example", settings={KEY: "your_client_secret_here"}),
    refused(
        "B04",
        "example id",
        "DERIBIT_CLIENT_ID: is still the example value",
        settings={"DERIBIT_CLIENT_ID": "your_client_id_here"},
    ),
    logs_in("B05", "quotes in the environment", 0, environment={KEY: f'"{CLIENT_SECRET}"'}, settings={KEY: None}),
    logs_in("B05", "blanks around it", 0, settings={KEY: f'" {CLIENT_SECRET}  "'}),
    accepted(
        "B05",
        "lines that end in CR LF",
        env_file=f"DERIBIT_CLIENT_ID={CLIENT_ID}\r\n{KEY}={CLIENT_SECRET}\r\nAGENT_DRY_RUN=true\r\n".encode(),
    ),
    accepted("B05", "byte order mark", env_file=f"\ufeff{KEY}={CLIENT_SECRET}\nAGENT_DRY_RUN=true\n".encode()),
    refused("B05", "other alphabets", f"{KEY}: must be letters", settings={KEY: "madeUpSecr\u00e9t"}),
    refused("B05", "a blank inside", f"{KEY}: must be letters", settings={KEY: "madeUp Secret"}),
    refused("B05", "one quote", f"{KEY}: must be letters", environment={KEY: "madeUpSecret'"}),
    logs_in(
        "B06", "swapped", 4, "does not accept this key", settings={"DERIBIT_CLIENT_ID": CLIENT_SECRET, KEY: CLIENT_ID}
    ),
    logs_in("B07", "of mainnet", 4, "Testnet and mainnet keys are separate", settings={KEY: "madeUpOther"}),
    Case("B08", "settings of the folder above are not read", _parents_file),
    logs_in(
        "B09",
        "the environment wins",
        0,
        source="env",
        settings={KEY: "madeUpOther"},
        environment={"DERIBIT_CLIENT_ID": CLIENT_ID, KEY: CLIENT_SECRET},
    ),
    logs_in("B09", "the file alone", 0, source=".env"),
]


# --- the file (B10 to B13, B33) -------------------------------------------------------------------------


def _mode(mode: int) -> Callable[[Path], None]:
    return lambda folder: (folder / ".env").chmod(mode)


def _replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / ".env").unlink()
        make(folder / ".env")

    return prepare


FILES = [
    refused(
        "B10",
        "in the file",
        "DERIBIT_CLIENT_IDD",
        "unknown setting",
        "is DERIBIT_CLIENT_ID",
        settings={"DERIBIT_CLIENT_IDD": CLIENT_ID},
    ),
    refused(
        "B10",
        "in the environment",
        "DERIBIT_CLIENT_IDD",
        "unknown setting",
        environment={"DERIBIT_CLIENT_IDD": CLIENT_ID},
    ),
    refused("B10", "another program's name in the file", "unknown setting", settings={"RISK_FREE_RATE": "1"}),
    accepted("B10", "another program's name", "is not a setting of this agent", environment={"RISK_FREE_RATE": "1"}),
    accepted("B10", "another client's name", "is DERIBIT_CLIENT_ID", environment={"DERIBIT_API_KEY": CLIENT_ID}),
    refused(
        "B11",
        "a key twice",
        f"{KEY} appears more than once",
        env_file=f"DERIBIT_CLIENT_ID={CLIENT_ID}\n{KEY}={CLIENT_SECRET}\n{KEY}=madeUpOther\n".encode(),
    ),
    refused("B12", "UTF-16", ".env is not UTF-8", env_file="AGENT_SEED=1\n".encode("utf-16")),
    refused("B12", "binary", ".env is not UTF-8", env_file=bytes(range(256))),
    refused("B12", "ten megabytes", ".env is larger than", env_file=b"# nothing\n" * 1_000_000),
    refused("B12", "a folder", ".env is a folder", prepare=_replaced_by(Path.mkdir)),
    refused("B12", "a pipe", ".env is not a file", prepare=_replaced_by(os.mkfifo)),
    refused("B13", "0640", "chmod 600 .env", prepare=_mode(0o640)),
    refused("B13", "0644", "chmod 600 .env", prepare=_mode(0o644)),
    refused("B13", "0666", "chmod 600 .env", prepare=_mode(0o666)),
    refused("B33", "a comment of another language", ".env, line 1", env_file=b"// comment\n"),
    refused("B33", "JSON", ".env, line 1", env_file=b'{"run": {"dry_run": true}}\n'),
    refused(
        "B33", "a trailing comma", "BTC_DELTA_MIN='0.2,': must be a finite number", settings={"BTC_DELTA_MIN": "0.2,"}
    ),
    refused(
        "B33",
        "a name twice",
        "BTC_DELTA_MIN appears more than once",
        env_file=b"BTC_DELTA_MIN=0.2\nbtc_delta_min=0.1\n",
    ),
    refused("B33", "NaN", "BTC_DELTA_MIN='NaN': must be a finite number", settings={"BTC_DELTA_MIN": "NaN"}),
]


# --- hosts (B14 to B19) ------------------------------------------------------------------------------------


def _url(row: str, url: str, words: str) -> Case:
    return refused(row, url, "DERIBIT_BASE_URL", words, settings={"DERIBIT_BASE_URL": url})


def _good_url(row: str, url: str) -> Case:
    return accepted(row, url, settings={"DERIBIT_BASE_URL": url})


HOSTS = [
    _url("B14", "https://www.deribit.com", "host not allowed"),
    _url("B15", "http://test.deribit.com", "https required"),
    _url("B16", "https://test.deribit.com.evil.io", "host not allowed"),
    _url("B16", "https://eviltest.deribit.com", "host not allowed"),
    _url("B16", "https://evil.test.deribit.com", "host not allowed"),
    _url("B16", "https://evil.io/test.deribit.com", "must end after the host"),
    _url("B16", "https://test.deribit.com@evil.io", "must not carry a user name"),
    _url("B16", "https://madeUpUser:madeUpPw@test.deribit.com", "must not carry a user name"),
    _good_url("B17", "https://TEST.deribit.com"),
    _url("B17", "https://TEST.deribit.com.", "host not allowed"),
    _url("B17", "https://test.deribit.com:8443", "port must be 443"),
    _url("B17", "https://test.deribit.com/api/v2", "must end after the host"),
    _url("B17", "https://test.d\u0435ribit.com", "host not allowed"),
    *(_good_url("B18", url) for url in ("http://127.0.0.1:9000", "http://localhost", "http://[::1]")),
    *(_url("B19", f"http://{host}", "host not allowed") for host in ("127.0.0.1.evil.io", "0.0.0.0", "2130706433")),
]

CASES: tuple[Case, ...] = (*KEYS, *FILES, *HOSTS)
