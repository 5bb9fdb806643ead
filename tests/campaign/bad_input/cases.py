"""What a case of bad input is, and the two ways to try one: a start from the command line, a policy at a desk.

In: the case and an empty folder. Out: the list of what is not as the catalogue says, empty where all is. Every start is
watched: its exit code, its words, its files, and every socket it tries to open. Keys are made up and all begin with
`madeUp`, so that one search finds whatever leaked. Files go below the folder; the network is this machine only.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import config
from config import AgentConfig
from logging_utils import IterationRecord
from models import AgentState
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.server import PaperServer
from policy_rule_based import decide_action
from tests.builders.agent import Desk, Ended, Policy, agent_at, run_for, run_main, simulated_desk
from tests.builders.paper import market_with

CLIENT_ID, CLIENT_SECRET = "madeUpId-4711", "madeUpSecret-9937"
LEAK = "madeUp"
DEAD_URL = "http://127.0.0.1:9"
RUN_ONCE = ("--once", "--log-dir", "{folder}/logs", "--data-dir", "{folder}/data")
LOOK_ONLY = ("--status", "--log-dir", "{folder}/logs", "--data-dir", "{folder}/data")
ACCEPTED_WORDS = ("there is no decision log",)  # what --status says once the settings were accepted

Check = Callable[[Path], list[str]]


@dataclass(frozen=True)
class Case:
    """One way to produce a row of the catalogue. `problems` is empty where the agent answers as the row says."""

    row: str
    name: str
    problems: Check


# --- a start from the command line -----------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """How the agent is started: a good `.env` with some lines changed (None takes one out), or a file of its own."""

    settings: Mapping[str, str | None] = field(default_factory=dict)
    env_file: bytes | None = None
    environment: Mapping[str, str] | None = None
    arguments: Sequence[str] = RUN_ONCE
    prepare: Callable[[Path], object] | None = None

    def run(self, folder: Path) -> tuple[Ended, list[str]]:
        """How it ended, and every address it tried to reach."""
        env_path = folder / ".env"
        self._write_env_file(folder, env_path)
        if self.prepare is not None:
            self.prepare(folder)
        with _environment(env_path, _placed(self.environment or {}, folder)), contacts() as reached:
            ended = run_main(*(argument.replace("{folder}", str(folder)) for argument in self.arguments))
        return ended, reached

    def _write_env_file(self, folder: Path, env_path: Path) -> None:
        good = {"DERIBIT_BASE_URL": DEAD_URL, "DERIBIT_CLIENT_ID": CLIENT_ID, "DERIBIT_CLIENT_SECRET": CLIENT_SECRET}
        lines = {name: text for name, text in {**good, **self.settings}.items() if text is not None}
        text = "".join(f"{name}={value}\n" for name, value in _placed(lines, folder).items())
        env_path.touch(mode=0o600)
        env_path.write_bytes(text.encode() if self.env_file is None else self.env_file)


def _placed(values: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {name: text.replace("{folder}", str(folder)) for name, text in values.items()}


def refused(
    row: str,
    name: str,
    *words: str,
    code: int = 2,
    lines: int = 1,
    settings: Mapping[str, str | None] | None = None,
    **how: Any,
) -> Case:
    """The start ends with this code before any contact, in this many lines on stderr, which hold these words."""
    start = Start(settings or {}, **how)

    def problems(folder: Path) -> list[str]:
        ended, reached = start.run(folder)
        found = problems_of(ended, folder, code, words)
        if len(ended.err.splitlines()) != lines:
            found.append(f"{len(ended.err.splitlines())} lines on stderr instead of {lines}: {ended.err!r}")
        return found + [f"it tried to reach {address}" for address in reached]

    return Case(row, name, problems)


def accepted(
    row: str, name: str, *words: str, settings: Mapping[str, str | None] | None = None, code: int = 1, **how: Any
) -> Case:
    """The settings are taken: the start gets as far as looking for a decision log (or what is said instead)."""
    start = Start(settings or {}, **{"arguments": LOOK_ONLY, **how})

    def problems(folder: Path) -> list[str]:
        ended, reached = start.run(folder)
        return problems_of(ended, folder, code, words or ACCEPTED_WORDS) + [
            f"it tried {address}" for address in reached
        ]

    return Case(row, name, problems)


def problems_of(ended: Ended, folder: Path, code: int, words: Sequence[str]) -> list[str]:
    """What holds for every end: the code, the words, no traceback, no secret on the console or in a file."""
    shown = ended.out + ended.err
    found = [] if ended.code == code else [f"exit code {ended.code} instead of {code}: {shown[-300:]!r}"]
    found += [f"no word of {word!r} in {shown[-400:]!r}" for word in words if word not in shown]
    found += ["a traceback on the console"] if "Traceback" in shown else []
    found += ["a secret on the console"] if LEAK in shown else []
    return found + [f"a secret in {path.name}" for path in written_files(folder) if LEAK.encode() in path.read_bytes()]


def written_files(folder: Path) -> list[Path]:
    """What a run has written below its folder."""
    return [path for name in ("logs", "data") for path in sorted((folder / name).rglob("*")) if path.is_file()]


def run_at_exchange(start: Start, folder: Path) -> tuple[Ended, list[str]]:
    """The start at an exchange of our own that takes one key and lists one call, which the settings do not allow."""
    market = market_with()
    server = PaperServer(PaperExchange(market, PaperAccount(market), credentials=(CLIENT_ID, CLIENT_SECRET)))
    server.start()
    try:
        return replace(start, settings={**start.settings, "DERIBIT_BASE_URL": server.url}).run(folder)
    finally:
        server.stop()


@contextmanager
def _environment(env_path: Path, given: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "ENV_FILE", env_path)
        for name in list(os.environ):
            if name.upper() in config.SETTING_NAMES:
                patch.delenv(name)
        for name, text in given.items():
            patch.setenv(name, text)
        yield


@contextmanager
def contacts() -> Iterator[list[str]]:
    """Every address that is looked up or connected to meanwhile; what is done with it stays the same."""
    reached: list[str] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def counted_connect(self: socket.socket, address: Any) -> None:
        reached.append(f"{address}")
        connect(self, address)

    def counted_look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        reached.append(f"{host}")
        return look_up(host, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", counted_connect)
        patch.setattr(socket, "getaddrinfo", counted_look_up)
        yield reached


# --- a policy at a desk ----------------------------------------------------------------------------


def btc_desk(folder: Path) -> Desk:
    """The simulated market with one coin traded, which takes half the time."""
    return simulated_desk(folder, eth={"enabled": False})


def policy_case(
    row: str,
    name: str,
    policy: Policy | Callable[..., object],
    *reasons: str,
    desk: Callable[[Path], Desk] = btc_desk,
    iterations: int = 1,
) -> Case:
    """The policy's last iteration is a DO_NOTHING, or a blocked action, whose reason begins with one of these names."""

    def problems(folder: Path) -> list[str]:
        at = desk(folder)
        records = run_for(agent_at(at, policy), iterations)  # type: ignore[arg-type]
        return no_order_problems(records[-1], reasons)

    return Case(row, name, problems)


def no_order_problems(record: IterationRecord, reasons: Sequence[str]) -> list[str]:
    """The line says why nothing was done, by name, and nothing was done."""
    found = []
    given = [record.proposed_action.reason, *map(str, record.risk_engine_result.reasons)]
    if not any(text.split(":")[0] in reasons for text in given):
        found.append(f"the reason is not {' or '.join(reasons)} but {given}")
    if record.executed_status != "none" or record.executed_action.legs:
        found.append(f"something was done: {record.executed_action}")
    if record.action_type != "DO_NOTHING" and record.allowed:
        found.append("the action was allowed")
    return found + log_problems(record)


def log_problems(record: IterationRecord) -> list[str]:
    """Nothing hostile gets into the short reason, and no key into the line."""
    reason = record.proposed_action.reason
    found = [] if reason.isprintable() or record.error is None else [f"control characters in {reason!r}"]
    return found + (["a secret in the line"] if LEAK in record.model_dump_json() else [])


@contextmanager
def policy_module(folder: Path, source: str) -> Iterator[str]:
    """A policy file of the owner's, found by name; it is forgotten afterwards."""
    name = "stub_policy"
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        try:
            yield name
        finally:
            sys.modules.pop(name, None)


def opens_first(then: Callable[[AgentState, AgentConfig], object]) -> Callable[[AgentState, AgentConfig], object]:
    """Sells the best call while none is held, then does what is asked."""

    def policy(state: AgentState, settings: AgentConfig) -> object:
        is_flat = not any(state.short_calls(coin) for coin in ("BTC", "ETH"))
        return decide_action(state, settings) if is_flat else then(state, settings)

    return policy
