"""The logs: one JSON line per iteration and per order event, written so that nothing is lost, and read with pandas.

In: records. Out: files `decisions-YYYY-MM-DD.jsonl` (flat figures first, then the complete state) and
`orders-YYYY-MM-DD.jsonl` (intents forced to disk before the order leaves, outcomes after). A line is written whole or
not at all; a torn last line found at the start is set aside. `read_decisions` gives a DataFrame. Talks to the disk.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, ValidationError

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
    RiskResult,
)

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
MAX_ERROR_LETTERS = 20_000
TAIL_BYTES = 5_000_000  # how much of an order log is read at the start
FINAL_OUTCOMES = frozenset(
    {"not_sent", "rejected", "accepted", "resolved_absent", "resolved_present", "resolved_by_positions"}
)


class IterationRecord(Frozen):
    """One line of the decision log."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    iteration: int
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
    error: str | None = None
    spot_btc: float | None = None
    spot_eth: float | None = None
    equity_btc: float | None = None
    equity_eth: float | None = None
    portfolio_value_usd_before: float | None = None
    portfolio_value_usd_after: float | None = None
    duration_ms: float = 0.0
    request_count: int = 0
    agent_state: AgentState | None = None
    proposed_action: ProposedAction
    risk_engine_result: RiskResult
    executed_action: ExecutionResult
    ledger: tuple[LedgerEntry, ...] = ()
    ledger_read_until: AwareDatetime | None = None
    api_responses: tuple[ApiCall, ...] = ()


@dataclass(frozen=True)
class RunInfo:
    """What all lines of a run have in common."""

    run_id: str
    mode: str
    market: str
    policy: str
    config_hash: str
    policy_hash: str


@dataclass
class Outcome:
    """What an iteration came to, filled in as far as it got."""

    state: AgentState | None = None
    action: ProposedAction | None = None
    reasons: list[str] = field(default_factory=list)
    execution: ExecutionResult | None = None
    ledger: tuple[LedgerEntry, ...] = ()
    ledger_read_until: datetime | None = None
    equity_after_coin: dict[str, float] = field(default_factory=dict)
    was_checked: bool = False
    error: str | None = None
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
    return IterationRecord(
        **asdict(run),
        iteration=iteration,
        timestamp=now if state is None else state.timestamp,
        action_type=action.type,
        underlying=action.underlying,
        symbol=action.symbol,
        size=action.size,
        allowed=allowed,
        executed_status="none" if outcome.execution is None else outcome.execution.status,
        error=None if outcome.error is None else outcome.error[-MAX_ERROR_LETTERS:],
        **_flat_figures(state),
        portfolio_value_usd_after=_value_after(outcome),
        duration_ms=duration_ms,
        request_count=sum(call.attempts for call in calls),
        agent_state=state,
        proposed_action=action,
        risk_engine_result=RiskResult(
            allowed=outcome.was_checked and not outcome.reasons, reasons=tuple(outcome.reasons)
        ),
        executed_action=outcome.execution or ExecutionResult(status="none"),
        ledger=outcome.ledger,
        ledger_read_until=outcome.ledger_read_until,
        api_responses=calls,
    )


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
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogWriteError(f"the log folder {folder} cannot be made: {error.strerror}") from None
        for path in sorted(folder.glob(f"{prefix}-*.jsonl"))[-2:]:
            if not path.is_file():  # a device or a pipe would be read without end
                raise LogWriteError(f"{path} is not a file: move it away, or use --log-dir")
            set_torn_line_aside(path)

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self) -> Path:
        """The file of the current day (UTC)."""
        return self._folder / f"{self._prefix}-{self._clock.now():%Y-%m-%d}.jsonl"

    def write_line(self, text: str) -> None:
        """Append one line of JSON; raises LogWriteError and leaves no half line behind."""
        line = text.encode() + b"\n"
        try:
            handle = os.open(self.path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                self._append(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            raise LogWriteError(f"{self.path().name} cannot be written: {error.strerror}") from None

    def _append(self, handle: int, line: bytes) -> None:
        size_before = os.fstat(handle).st_size
        written = 0
        try:
            written = os.write(handle, line)
            if self._force_to_disk:
                os.fsync(handle)
        finally:
            if 0 < written < len(line):
                os.ftruncate(handle, size_before)
        if written < len(line):
            raise OSError(28, "No space left on device")


def set_torn_line_aside(path: Path) -> None:
    """Move the bytes after the last newline to a `.torn` file, so that the next line is never glued to them."""
    content = path.read_bytes()
    if not content or content.endswith(b"\n"):
        return
    whole = content.rfind(b"\n") + 1
    with path.with_suffix(".torn").open("ab") as torn:
        torn.write(content[whole:] + b"\n")
    with path.open("r+b") as file:
        file.truncate(whole)


class OrderLogFile:
    """The write-ahead log of orders: what was sent, what became of it, and what is still open to question."""

    def __init__(self, folder: Path, clock: Clock, run_id: str, account: str | None = None) -> None:
        """`account`: the mode whose earlier runs traded the same account; None for an account of this run alone."""
        self._log = JsonlLog(folder, "orders", clock, force_to_disk=True)
        self._run_id = run_id
        self._unresolved: dict[str, dict[str, Any]] = {}
        for record in _last_order_records(folder):
            if account is not None and str(record.get("run_id")).startswith(f"{account}-"):
                self._remember(record)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one event and force it to disk; raises LogWriteError."""
        full = {"run_id": self._run_id, **record}
        self._log.write_line(json.dumps(full, allow_nan=False, default=str))
        self._remember(full)

    def unresolved(self) -> tuple[Mapping[str, Any], ...]:
        """Intents without a certain end, oldest first."""
        return tuple(self._unresolved.values())

    def _remember(self, record: Mapping[str, Any]) -> None:
        label = str(record.get("label"))
        if record.get("event") == "intent" and _can_be_looked_up(record):
            self._unresolved[label] = dict(record)
        elif record.get("outcome") in FINAL_OUTCOMES:
            self._unresolved.pop(label, None)


def _can_be_looked_up(intent: Mapping[str, Any]) -> bool:
    """Whether an intent is one of ours; a line edited by hand may be anything."""
    names = (intent.get("label"), intent.get("symbol"))
    is_named = all(isinstance(name, str) for name in names)
    return is_named and str(names[1])[:4] in ("BTC-", "ETH-") and type(intent.get("valid_until")) is int


def seconds_since_deadline(intent: Mapping[str, Any], now: datetime) -> float:
    """Seconds since an order can no longer come to life (valid_until, by the exchange's clock); negative before."""
    return now.timestamp() - float(intent.get("valid_until", 0)) / 1000.0


def _last_order_records(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("orders-*.jsonl"))[-2:]:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            yield from _records(file.read())


def _records(content: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a JSONL text; lines that do not parse (torn, or cut by the tail) are left out."""
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
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
        found += list(_records(Path(name).read_bytes()))
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
    files = sorted(folder.glob("decisions-*.jsonl"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in files:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 500_000))
            lines = [line for line in file.read().split(b"\n")[:-1] if _is_of_mode(line, mode)]
        if lines:
            return _validated(lines[-1], path)
    return None


def _is_of_mode(line: bytes, mode: str) -> bool:
    wanted = f'"mode":"{mode}"'.encode() if mode else b""
    return line.startswith(b'{"schema_version"') and wanted in line


def _validated(line: bytes, path: Path) -> IterationRecord:
    try:
        return IterationRecord.model_validate_json(line)
    except ValidationError:
        raise ConfigurationError(f"the last line of {path} was written by another version of the agent") from None
