"""Rows B66 to B69: files the agent reads back, after somebody else has been at them.

In: nothing. Out: `CASES`. Each is a real run from the command line, against an exchange of our own on this machine.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.locks import Lock, take_account_lock
from config import load_config
from logging_utils import read_records
from tests.builders.agent import decision_lines
from tests.builders.paper import CALL
from tests.campaign.bad_input.cases import RUN_ONCE, Case, Check, Start, problems_of, refused, run_at_exchange

AN_HOUR_AGO, ITS_DEADLINE_MS = "2026-01-05T11:00:00+00:00", 1_767_610_810_000  # the exchange's clock stands at noon
FAR_AWAY_MS = 253_370_764_800_000  # the year 9999
FAKE_LABEL = "cc-260105110000-abcdef-sell"
SIMULATED = ("--market", "simulated", *RUN_ONCE)
NEWER_VERSION = 99


# --- logs (B66, B67) ---------------------------------------------------------------------------------


def an_intent(**fields: object) -> dict[str, object]:
    """A sale of five coins that no exchange has ever heard of."""
    intent = {"event": "intent", "label": FAKE_LABEL, "symbol": CALL, "direction": "sell", "amount_coin": 5.0}
    when = {"at": AN_HOUR_AGO, "valid_until": ITS_DEADLINE_MS}
    return {"schema_version": 1, "run_id": "loopback-20260105T110000", **intent, **when, **fields}


def with_log(name: str, *lines: object) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "logs").mkdir()
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        (folder / "logs" / f"{name}-2026-01-05.jsonl").write_text(text)

    return prepare


def goes_on(row: str, name: str, prepare: Callable[[Path], None], *words: str, also: Check = lambda folder: []) -> Case:
    """The run starts, reads the exchange, sends nothing, and leaves what was written before as it is."""

    def problems(folder: Path) -> list[str]:
        prepare(folder)
        before = {path: path.read_bytes() for path in (folder / "logs").iterdir()}
        ended, _ = run_at_exchange(Start(), folder)
        found = problems_of(ended, folder, 0, words)
        found += [f"{path.name} was rewritten" for path in before if not path.read_bytes().startswith(before[path])]
        return found + _exposure_problems(folder) + also(folder)

    return Case(row, name, problems)


def _exposure_problems(folder: Path) -> list[str]:
    """What stands in a log is never counted as a position or as an order."""
    (line,) = [line for line in decision_lines(folder) if line["schema_version"] != NEWER_VERSION]
    if line["error"] is not None:
        return [f"the iteration failed: {line['error'][-200:]}"]
    risks = line["agent_state"]["risks"]
    exposed = [risk for risk in risks if risk["short_calls_coin"] or risk["resting_sells_coin"]]
    return [f"exposure from nowhere: {exposed}"] if exposed else []


def _no_coin_may_trade(folder: Path) -> list[str]:
    (line,) = decision_lines(folder)
    latched = line["agent_state"]["waiting_underlyings"]
    return [] if latched == ["BTC", "ETH"] else [f"latched is {latched}"]


def _its_coin_waits(folder: Path) -> list[str]:
    """One empty look-up is not final: the exchange is asked a second time before the coin may trade again."""
    (line,) = decision_lines(folder)
    waiting = line["agent_state"]["unresolved_symbols"]
    return [] if waiting == [CALL] else [f"waiting are {waiting}"]


NEWER = an_intent(schema_version=NEWER_VERSION)
CANNOT_READ = "1 lines of the order log cannot be read: no order for a minute"
LOGS = [
    goes_on("B66", "orders", with_log("orders", NEWER), CANNOT_READ, also=_no_coin_may_trade),
    goes_on(
        "B66",
        "decisions",
        with_log("decisions", {"schema_version": NEWER_VERSION, "mode": "loopback"}),
        "was written by another version",
    ),
    goes_on("B67", "a fake intent", with_log("orders", an_intent()), also=_its_coin_waits),
    goes_on("B67", "of the year 9999", with_log("orders", an_intent(valid_until=FAR_AWAY_MS)), also=_its_coin_waits),
    goes_on("B67", "a deadline beyond all numbers", with_log("orders", an_intent(valid_until=10**400))),
    goes_on("B67", "of another kind", with_log("orders", an_intent(label=["x"], symbol=7, valid_until="soon"))),
    goes_on("B67", "a version that is no number", with_log("orders", an_intent(schema_version="two"))),
    goes_on("B67", "of times without a zone", with_log("orders", an_intent(at="2026-01-05T11:00:00"))),
]


# --- the kill file (B68) -------------------------------------------------------------------------------


def killed(name: str, make: Callable[[Path], object], *words: str) -> Case:
    """The run goes on, says what stands in the file, and sends no order."""

    def problems(folder: Path) -> list[str]:
        settings = {"RISK_KILL_FILE": "{folder}/KILL"}
        start = Start(settings, arguments=SIMULATED, prepare=lambda below: make(below / "KILL"))
        ended, reached = start.run(folder)
        found = problems_of(ended, folder, 0, ("kill_switch", *words)) + [f"it tried {address}" for address in reached]
        found += ["an escape sequence on the console"] if "\x1b" in ended.out else []
        sent = [line for line in read_records(folder / "logs" / "orders-*.jsonl") if line.get("event") == "intent"]
        return found + [f"an order was sent: {line}" for line in sent]

    return Case("B68", name, problems)


KILL_FILES = [
    killed("with a reason", lambda path: path.write_text("margin call, ask Ann\n"), "margin call, ask Ann"),
    killed("with hostile content", lambda path: path.write_bytes(b"\x1b[31mgo on\x00\xff" * 9_999), "go on"),
    killed("empty", Path.touch),
    killed("a folder", Path.mkdir),
]


# --- locks (B69) ------------------------------------------------------------------------------------------

HOLDER = "pid 4711 on a-container-that-is-gone"


@contextmanager
def held_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    path.write_text(HOLDER)
    with path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _locked(folder: Path) -> list[str]:
    """Only its path and what its holder wrote into it can be told; whether the holder lives cannot."""
    path = folder / "data" / "agent.lock"
    with held_lock(path):
        found = refused("B69", "", str(path), HOLDER, code=3).problems(folder)
    return found + ([] if path.exists() and path.read_text() == HOLDER else ["the lock file was touched"])


def _account_locked(folder: Path) -> list[str]:
    """The account is locked by an agent with folders of its own."""
    held: list[Lock] = []

    def hold(below: Path) -> None:
        held.append(take_account_lock(load_config(below / ".env")))

    try:
        return refused("B69", "", "another agent is trading this account", "agent", code=3, prepare=hold).problems(
            folder
        )
    finally:
        for lock in held:
            lock.release()


LOCKS = [
    Case("B69", "of the data folder", _locked),
    Case("B69", "of the account", _account_locked),
]

CASES: tuple[Case, ...] = (*LOGS, *KILL_FILES, *LOCKS)
