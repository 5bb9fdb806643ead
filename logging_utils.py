"""The logs: one JSON line per iteration and per order event, written so that nothing is lost, and read with pandas.

In: records. Out: files `decisions-YYYY-MM-DD.jsonl` (flat figures first, then the complete state) and
`orders-YYYY-MM-DD.jsonl` (intents forced to disk before the order leaves, outcomes after). A line is written whole or
not at all; a torn last line found at the start is set aside. `read_decisions` gives a DataFrame. Talks to the disk.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, ValidationError

from core.breaker import Breaker
from core.text import writable
from models import (
    ActionType,
    AgentState,
    ApiCall,
    Clock,
    ConfigurationError,
    ExecutionResult,
    Frozen,
    LedgerEntry,
    LogWriteError,
    ProposedAction,
    Reason,
    RiskResult,
    TradingState,
)

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
MAX_ERROR_LETTERS = 20_000
TORN_BYTES = 5_000_000
NEWEST_FILES = 6  # among which the last line of a log is looked for


class IterationRecord(Frozen):
    """One line of the decision log."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    iteration: int
    sequence: int = 0
    timestamp: AwareDatetime
    mode: str
    market: str
    policy: str
    config_hash: str
    policy_hash: str
    action_type: str
    underlying: str | None = None
    symbol: str | None = None
    size: float = 0.0
    allowed: bool
    executed_status: str
    trading_state: str = TradingState.ACTIVE
    error: str | None = None
    spot_btc: float | None = None
    spot_eth: float | None = None
    equity_btc: float | None = None
    equity_eth: float | None = None
    portfolio_value_usd_before: float | None = None
    portfolio_value_usd_after: float | None = None
    duration_ms: float = 0.0
    request_count: int = 0
    credentials_source: str = "none"
    agent_state: AgentState | None = None
    proposed_action: ProposedAction
    risk_engine_result: RiskResult
    executed_action: ExecutionResult
    breaker: Breaker | None = None
    ledger: tuple[LedgerEntry, ...] = ()
    ledger_read_until: AwareDatetime | None = None
    api_responses: tuple[ApiCall, ...] = ()


@dataclass(frozen=True)
class RunInfo:
    """What all lines of a run have in common. `lines_before`: the sequence number of the last line before it."""

    run_id: str
    mode: str
    market: str
    policy: str
    config_hash: str
    policy_hash: str
    credentials_source: str = "none"
    lines_before: int = 0


@dataclass
class Outcome:
    """What an iteration came to, filled in as far as it got."""

    state: AgentState | None = None
    action: ProposedAction | None = None
    reasons: tuple[Reason, ...] = ()
    execution: ExecutionResult | None = None
    ledger: tuple[LedgerEntry, ...] = ()
    ledger_read_until: datetime | None = None
    equity_after_coin: dict[str, float] = field(default_factory=dict)
    was_checked: bool = False
    error: str | None = None
    has_policy_error: bool = False
    is_duplicated: bool = False
    has_ledger_error: bool = False
    breaker: Breaker | None = None
    request_count: int = 0
    fatal: BaseException | None = None


def make_record(
    run: RunInfo, iteration: int, now: datetime, duration_ms: float, outcome: Outcome, calls: tuple[ApiCall, ...]
) -> IterationRecord:
    """The line of one iteration, whatever became of it."""
    state, action = outcome.state, outcome.action
    allowed = outcome.was_checked and not outcome.reasons
    if action is None:
        why = (outcome.error or "no decision was reached").strip().splitlines()[-1]
        action = ProposedAction(type=ActionType.DO_NOTHING, reason=f"iteration failed: {why}"[:1000])
    common = asdict(run)
    return IterationRecord(
        sequence=common.pop("lines_before") + iteration,
        **common,
        iteration=iteration,
        timestamp=now if state is None else state.timestamp,
        action_type=action.type,
        underlying=action.underlying,
        symbol=action.symbol,
        size=action.size,
        allowed=allowed,
        executed_status="none" if outcome.execution is None else outcome.execution.status,
        error=None if outcome.error is None else writable(outcome.error)[-MAX_ERROR_LETTERS:],
        trading_state=_trading_state(outcome),
        **_flat_figures(state),
        portfolio_value_usd_after=_value_after(outcome),
        duration_ms=duration_ms,
        request_count=outcome.request_count,
        agent_state=state,
        proposed_action=action,
        risk_engine_result=RiskResult(allowed=allowed, reasons=outcome.reasons),
        executed_action=outcome.execution or ExecutionResult(status="none"),
        breaker=outcome.breaker,
        ledger=outcome.ledger,
        ledger_read_until=outcome.ledger_read_until,
        api_responses=calls,
    )


def _trading_state(outcome: Outcome) -> str:
    """The one this iteration ended in, which is the one that the next begins with."""
    if outcome.breaker is not None and outcome.breaker.state != TradingState.ACTIVE:
        return outcome.breaker.state
    why = () if outcome.state is None else outcome.state.restrictions
    return TradingState.REDUCING if any(reason.rule != "breaker" for reason in why) else TradingState.ACTIVE


def _flat_figures(state: AgentState | None) -> dict[str, Any]:
    if state is None:
        return {}
    spots = {f"spot_{market.underlying.lower()}": market.spot_usd for market in state.markets}
    equities = {f"equity_{account.currency.lower()}": account.equity_coin for account in state.portfolio.accounts}
    return spots | equities | {"portfolio_value_usd_before": state.portfolio.value_usd}


def _value_after(outcome: Outcome) -> float | None:
    """Portfolio value after the trade, at the spots of the decision; the value before where nothing traded."""
    if outcome.state is None:
        return None
    spots: dict[str, float] = {market.underlying: market.spot_usd for market in outcome.state.markets}
    if not outcome.equity_after_coin or not set(outcome.equity_after_coin) <= set(spots):
        return outcome.state.portfolio.value_usd
    return sum(equity * spots[coin] for coin, equity in outcome.equity_after_coin.items())


# --- writing --------------------------------------------------------------------------------


class JsonlLog:
    """Appends whole lines to one file a day. `force_to_disk` makes each line survive a power cut."""

    def __init__(self, folder: Path, prefix: str, clock: Clock, force_to_disk: bool = False) -> None:
        self._folder, self._prefix, self._clock = folder, prefix, clock
        self._force_to_disk = force_to_disk
        self._parts: dict[str, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogWriteError(f"the log folder {folder} cannot be made: {error.strerror}") from None
        for path in files_of_last_days(folder, prefix, f"{clock.now():%Y-%m-%d}"):
            if not path.is_file():  # a device or a pipe would be read without end
                raise LogWriteError(f"{path} is not a file: move it away, or use --log-dir")
            try:
                set_torn_line_aside(path)
            except OSError as error:
                raise LogWriteError(f"{path} cannot be mended: {error.strerror}") from None

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self) -> Path:
        """The file of the current day (UTC); a later part of it where an earlier one could not be forced to disk."""
        day = f"{self._prefix}-{self._clock.now():%Y-%m-%d}"
        part = self._part(day)
        return self._folder / f"{day}.jsonl" if part == 1 else self._folder / f"{day}_{part}.jsonl"

    def _part(self, day: str) -> int:
        if day not in self._parts:
            self._parts = {day: 1 + len(list(self._folder.glob(f"{day}_*.jsonl")))}
        return self._parts[day]

    def write_line(self, text: str) -> None:
        """Append one line of JSON; raises LogWriteError and leaves no half line behind."""
        line, path = text.encode() + b"\n", self.path()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleared it away
            handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                self._append(handle, line)
                if self._force_to_disk:
                    _see_that_it_is_there(handle, path, len(line))
            finally:
                os.close(handle)
        except OSError as error:
            raise LogWriteError(f"{path.name} cannot be written: {error.strerror}") from None

    def _append(self, handle: int, line: bytes) -> None:
        """Write a line, to the disk itself if wanted; a line that failed is taken out again."""
        size_before = os.fstat(handle).st_size
        if size_before > 0 and os.pread(handle, 1, size_before - 1) != b"\n":
            self._begin_another_part()
            raise OSError(errno.ESTALE, "somebody cut it in the middle of a line")
        try:
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._force_to_disk:
                self._force(handle, is_new=size_before == 0)
        except OSError:
            self._take_back(handle, size_before)
            raise

    def _take_back(self, handle: int, size_before: int) -> None:
        try:
            if os.fstat(handle).st_size > size_before:  # else somebody emptied it, and this would fill it with zeros
                os.ftruncate(handle, size_before)
        except OSError:
            self._begin_another_part()  # half a line may stand at the end of this one

    def _force(self, handle: int, is_new: bool) -> None:
        """Force a line to disk, with a new file its name too. A file that failed once is not trusted again."""
        try:
            os.fsync(handle)
            if is_new:
                self._force_folder()
        except OSError:
            self._begin_another_part()
            raise

    def _begin_another_part(self) -> None:
        day = f"{self._prefix}-{self._clock.now():%Y-%m-%d}"
        self._parts = {day: self._part(day) + 1}

    def _force_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _see_that_it_is_there(handle: int, path: Path, size: int) -> None:
    """Raise OSError where somebody removed, renamed or emptied the file: after a restart nobody would know the line."""
    written, there = os.fstat(handle), path.stat()
    if not os.path.samestat(written, there) or there.st_size < size:
        raise OSError(errno.ESTALE, "somebody replaced it while it was written")


def files_of_last_days(folder: Path, prefix: str, today: str) -> list[Path]:
    """The files of the last two days up to today (2026-01-05), in the order of their names, parts in theirs.

    Files of later days are among them: our clock may have been ahead when they were written.
    """
    named = re.compile(rf"{prefix}-\d{{4}}-\d{{2}}-\d{{2}}(_\d+)?\.jsonl")  # copies under other names are not ours
    dated = [(path.stem.partition("_"), path) for path in folder.iterdir() if named.fullmatch(path.name)]
    days = sorted({day for (day, _, _), _ in dated})
    last = f"{prefix}-{today}"
    wanted = {*[day for day in days if day <= last][-2:], *[day for day in days if day > last]}
    in_order = sorted((day, int(part) if part.isdecimal() else 1, path) for (day, _, part), path in dated)
    return [path for day, _, path in in_order if day in wanted]


def set_torn_line_aside(path: Path) -> None:
    """Move the bytes after the last newline to a `.torn` file, so that the next line is never glued to them."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - TORN_BYTES))  # a line is far shorter, a log may be far longer
        content = file.read()
        if not content or content.endswith(b"\n"):
            return
        whole = content.rfind(b"\n") + 1
        with suppress(OSError):  # on a full disk half a line is given up: it was never known to be written
            _keep_aside(path.with_suffix(".torn"), content[whole:])
        file.truncate(start + whole)


def _keep_aside(path: Path, torn: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, torn + b"\n")
    finally:
        os.close(handle)


def json_objects(content: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a JSONL text; lines that do not parse (torn, or cut by the tail) are left out."""
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def short_hash(text: str) -> str:
    """Enough of a SHA-256 to tell two settings or two policies apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# --- reading ------------------------------------------------------------------------------------


def read_records(pattern: str | Path) -> list[dict[str, Any]]:
    """All lines of the files that match, as dicts, in order of time; a torn last line is left out.

    A folder stands for all its .jsonl files.
    """
    if Path(pattern).is_dir():
        pattern = Path(pattern) / "*.jsonl"
    found = []
    for name in sorted(glob.glob(str(pattern))):  # noqa: PTH207 - a pattern with its own folder is given
        found += list(json_objects(Path(name).read_bytes()))
    return found


def read_decisions(pattern: str | Path) -> pd.DataFrame:
    """Decision logs as a DataFrame, one row an iteration, sorted by run and iteration.

    Flat columns are ready to use (`timestamp` is a UTC time); `iv_rv_btc`, `short_calls_btc`, `margin_pct_btc` and the
    like are taken out of the state; the nested parts stay as dicts in their own columns.
    """
    import pandas as pd

    records = [record for record in read_records(pattern) if "agent_state" in record]
    frame = pd.DataFrame([record | _state_columns(record.get("agent_state")) for record in records])
    if frame.empty:
        return pd.DataFrame(columns=list(IterationRecord.model_fields))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601")
    frame["reason"] = [action["reason"] for action in frame["proposed_action"]]
    return frame.sort_values(["run_id", "iteration"], kind="stable").reset_index(drop=True)


def _state_columns(state: Mapping[str, Any] | None) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for market in (state or {}).get("markets", ()):
        coin = str(market["underlying"]).lower()
        columns[f"atm_iv_{coin}"] = market["atm_iv_fraction"]
        columns[f"rv_{coin}"] = market["rv_fraction"]
        columns[f"iv_rv_{coin}"] = market["iv_rv_ratio"]
    for risk in (state or {}).get("risks", ()):
        coin = str(risk["underlying"]).lower()
        columns[f"short_calls_{coin}"] = risk["short_calls_coin"]
        columns[f"margin_pct_{coin}"] = risk["margin_used_pct"]
        columns[f"net_delta_{coin}"] = risk["net_delta"]
    return columns


def read_ledger(pattern: str | Path) -> pd.DataFrame:
    """What moved the balances, one row an entry: trades, fees, deliveries, in coin.

    An entry read twice counts once: within a run, and over all runs of an account that outlives them.
    """
    import pandas as pd

    rows = [
        {"account": _account_of(record), "run_id": record["run_id"], "iteration": record["iteration"], **entry}
        for record in read_records(pattern)
        for entry in record.get("ledger", ())
    ]
    columns = ["account", "run_id", "iteration", *LedgerEntry.model_fields]
    frame = pd.DataFrame(rows, columns=columns)
    frame["booked_at"] = pd.to_datetime(frame["booked_at"], utc=True, format="ISO8601")
    same = ["account", "currency", "entry_type", "symbol", "booked_at", "amount_coin", "change_coin", "balance_coin"]
    return frame.drop_duplicates(same).reset_index(drop=True)


def _account_of(record: Mapping[str, Any]) -> str:
    """Simulated and recorded runs start with a fresh account each, the others go on with theirs."""
    mode = str(record["mode"])
    return mode if mode in ("testnet", "dry_run") else str(record["run_id"])


def state_from_record(record: Mapping[str, Any]) -> AgentState:
    """The state of a logged iteration, equal to the one that was decided on."""
    return AgentState.model_validate_json(json.dumps(record["agent_state"]))


def last_record(folder: Path, mode: str = "") -> IterationRecord | None:
    """The newest whole line of a log folder (of a mode), None where there is none.

    Raises ConfigurationError for a line that another version of the agent wrote.
    """
    paths = sorted(folder.glob("decisions-*.jsonl"))[-NEWEST_FILES:]
    records = [record for path in paths if (record := _last_of(path, mode)) is not None]
    # By the count that goes on from run to run: our own clock names the files and may have stepped back.
    return max(records, key=lambda record: (record.sequence, record.timestamp), default=None)


def _last_of(path: Path, mode: str) -> IterationRecord | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TORN_BYTES))
        lines = [line for line in file.read().split(b"\n")[:-1] if _is_of_mode(line, mode)]
    readable = (_validated(line) for line in reversed(lines))
    newest = next((record for record in readable if record is not None), None)
    if newest is None and lines:
        raise ConfigurationError(f"the last line of {path} was written by another version of the agent")
    return newest


def _is_of_mode(line: bytes, mode: str) -> bool:
    wanted = f'"mode":"{mode}"'.encode() if mode else b""
    return line.startswith(b'{"schema_version"') and wanted in line


def _validated(line: bytes) -> IterationRecord | None:
    try:
        return IterationRecord.model_validate_json(line)
    except ValidationError:
        return None
