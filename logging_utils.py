"""The logs: the line an iteration leaves behind, and both logs read with pandas, whichever version wrote them.

In: what an iteration came to; later the files `decisions-YYYY-MM-DD.jsonl` and `orders-YYYY-MM-DD.jsonl`. Out: an
IterationRecord (flat figures first, then the complete state); tables, by `read_decisions`, `read_ledger`,
`read_orders`, `read_trades`, `read_chains` and `read_equity`. How lines get to the disk is the business of
`orders/jsonl_file.py`. Reads files.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, PrivateAttr

from core.breaker import Breaker
from core.log_lines.decision_lines import LoggedDecision, decision_of, decision_of_today
from core.log_lines.frames import frame_of, frame_with_times, pandas_module, state_figures, times_of
from core.log_lines.old_lines import SCHEMA_VERSION, is_of_newer_version, json_object, migrated, read_tolerantly
from core.results.call_book import sold_calls
from core.results.earnings import CoinEarnings, earnings, equity_points
from core.results.settlements import Entry, with_settlements_summed
from core.results.sold_calls import SoldCall, chains_of
from core.results.steps import LoggedStep, Step, logged_step, step_of
from core.results.table_rows import CHAIN_COLUMNS, EQUITY_COLUMNS, TRADE_COLUMNS, chain_row, equity_row, trade_row
from models import (
    AgentState,
    ApiCall,
    ConfigurationError,
    ExecutionResult,
    Frozen,
    LedgerEntry,
    LegResult,
    ProposedAction,
    RiskResult,
    ShadowDecision,
    TradingState,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_ERROR_LETTERS = 20_000
TAIL_BYTES = 5_000_000  # a line is far shorter
READ_AT_ONCE = 1_000_000  # a line that fits into what was read costs a tenth of one that does not
NEWEST_FILES = 6  # among which the last line of a log is looked for
SORTED_BY = ["run_id", "iteration"]
SAME_ENTRY = {"currency", "entry_type", "symbol", "booked_at", "amount_coin", "change_coin", "balance_coin"}
ORDER_COLUMNS = [
    *("schema_version", "run_id", "event", "label", "symbol", "at", "order_id", "direction", "amount_coin"),
    *("price_coin", "reduce_only", "quoted_at", "valid_until", "outcome", "error", "refusal_code"),
    *("price", "order_state", "filled_amount_coin", "why"),
]


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
    settings_mode: str = "research"
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
    duration_ms: float | None = 0.0  # this, the next and api_responses are None where nothing went over a wire
    request_count: int | None = 0
    credentials_source: str = "none"
    requires_bid: bool = True
    fills: str = "ladder"
    agent_state: AgentState | None = None
    proposed_action: ProposedAction
    risk_engine_result: RiskResult
    executed_action: ExecutionResult
    shadows: tuple[ShadowDecision, ...] = ()
    ended_orders: tuple[LegResult, ...] = ()
    breaker: Breaker | None = None
    ledger: tuple[LedgerEntry, ...] = ()
    ledger_read_until: AwareDatetime | None = None
    api_responses: tuple[ApiCall, ...] | None = ()
    _lost: tuple[str, ...] = PrivateAttr(())

    @property
    def account(self) -> str:
        """The account it belongs to: a run of fresh coins has its own, the others go on with theirs."""
        return account_name(self.mode, self.run_id)

    @property
    def lost(self) -> tuple[str, ...]:
        """Fields that a line of another version lacked and that have no default: they are None."""
        return self._lost


class LoggedEntry(LedgerEntry):
    """An entry of the exchange's ledger, with the account it belongs to and the line of the log that holds it."""

    account: str
    run_id: str | None = None
    iteration: int | None = None


@dataclass(frozen=True)
class RunInfo:
    """What all lines of a run have in common. `settings_mode`: AGENT_MODE, the set of settings it started from.

    `requires_bid`: whether only calls with a bid may be sold. `fills`: how orders are filled (AGENT_FILLS).
    `lines_before`: the sequence number of the last line before it.
    """

    run_id: str
    mode: str
    market: str
    policy: str
    config_hash: str
    policy_hash: str
    settings_mode: str = "research"
    credentials_source: str = "none"
    requires_bid: bool = True
    fills: str = "ladder"
    lines_before: int = 0


def short_hash(text: str) -> str:
    """Enough of a SHA-256 to tell two settings or two policies apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# --- reading ------------------------------------------------------------------------------------


def read_records(pattern: str | Path) -> list[dict[str, Any]]:
    """All lines of the files that match, as they stand there; what cannot be read or found is quietly left out."""
    lines = (json_object(line) for path in _files(pattern) for line in _lines(path))
    return [record for record in lines if record is not None]


def read_decisions(pattern: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Decision logs as a DataFrame, one row an iteration, sorted by run and iteration.

    `pattern`: a file (.jsonl or .jsonl.gz), a folder, or a pattern of either; FileNotFoundError where there is none.
    Flat columns are ready to use (`timestamp` is a UTC time); `iv_rv_btc`, `short_calls_btc`, `margin_pct_btc` and the
    like are taken out of the state; the nested parts stay as dicts in their own columns. With `columns` only those are
    kept, which needs little memory. A line that cannot be read is left out with a warning, a field that is missing is
    None. KeyError for a column that no log has.
    """
    records = (record for record in _found(pattern) if "event" not in record and "iteration" in record)
    wanted = None if columns is None else (*columns, *SORTED_BY)
    frame = frame_of((_with_figures(record, wanted) for record in records), list(IterationRecord.model_fields), wanted)
    if "timestamp" in frame:
        frame["timestamp"] = times_of(frame["timestamp"])
    frame = frame.sort_values(SORTED_BY, kind="stable").reset_index(drop=True)
    return frame if columns is None else frame[list(columns)]


def read_orders(pattern: str | Path) -> pd.DataFrame:
    """Order logs as a DataFrame, one row an event, in the order in which they were written.

    `at`, `quoted_at` and `valid_until` are UTC times; `order_id` is text (`o-` and Deribit's id), taken from the
    exchange's answer where the line itself has none; `label` joins the events of one order. Files as in read_decisions.
    """
    records = (record for record in _found(pattern) if "event" in record)
    rows = ({"order_id": (record.get("order") or {}).get("order_id"), **record} for record in records)
    frame = frame_of(rows, ORDER_COLUMNS, None)
    for name in ("at", "quoted_at"):
        frame[name] = times_of(frame[name])
    frame["valid_until"] = pandas_module().to_datetime(frame["valid_until"], utc=True, unit="ms", errors="coerce")
    return frame


def read_ledger(pattern: str | Path) -> pd.DataFrame:
    """What moved the balances, in coin: a row a trade, a row an expired position, other rows as the exchange has them.

    All rows of an expired option and of the future it settled into are summed up: `change_coin` is what it came to,
    `fee_coin` included. An entry that was read again after a restart of a lasting account is kept once. Files as in
    read_decisions; an entry that cannot be read is left out with a warning.
    """
    entries: dict[str, list[LoggedEntry]] = {}
    for entry in _entries_of(_found(pattern)):
        entries.setdefault(entry.account, []).append(entry)
    rows = [row for found in entries.values() for row in with_settlements_summed(_once_each(found))]
    columns = ["account", "run_id", "iteration", *LedgerEntry.model_fields]
    frame = frame_of((row.model_dump(mode="json") for row in rows), columns, columns)
    frame["booked_at"] = times_of(frame["booked_at"])
    return frame


def read_trades(pattern: str | Path) -> pd.DataFrame:
    """A row a call sold, from its first sale until none of it is left, by account and opening.

    Amounts in coin, costs negative. `exit`: open, bought_back, rolled, expired (worthless) or settled (in the money).
    `entry_*` are what the decision saw, `slippage_coin` is against its mid; `chain_id` is shared with the calls that
    this one was rolled from and to, `leg` counts them. What is open counts at its last mark. NaN where the log does not
    say: the premium, and so the P&L, of a call that was held before it began. Files as in read_decisions.
    """
    rows = (trade_row(log.account, call) for log in _accounts_in(pattern) for call in log.calls)
    return frame_with_times(rows, TRADE_COLUMNS, ("opened_at", "closed_at"))


def read_chains(pattern: str | Path) -> pd.DataFrame:
    """A row a chain (a sale and all its rolls until nothing is left), by account and opening.

    `symbols`: its calls, leg by leg; `exit`: how the last one ended; `closed_at` is missing while one is open.
    """
    rows = (chain_row(log.account, chain) for log in _accounts_in(pattern) for chain in chains_of(log.calls))
    return frame_with_times(rows, CHAIN_COLUMNS, ("opened_at", "closed_at"))


def read_equity(pattern: str | Path) -> pd.DataFrame:
    """A row a coin and iteration that read the account: its equity, and that of holding the coins without a call.

    Holding moves with deposits and withdrawals only. In USD both count at the spot of the moment.
    """
    rows = (
        equity_row(log.account, point)
        for log in _accounts_in(pattern)
        for point in equity_points(log.entries, log.steps)
    )
    return frame_with_times(rows, EQUITY_COLUMNS, ("timestamp",))


def read_earnings(pattern: str | Path) -> dict[str, tuple[CoinEarnings, ...]]:
    """What each account of the logs has earned, coin by coin, by the account's name. Files as in read_decisions."""
    return {log.account: earnings(log.entries, log.steps) for log in _accounts_in(pattern)}


@dataclass
class _AccountLog:
    """What the logs say of one account, oldest entry first."""

    account: str
    entries: list[LedgerEntry] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def calls(self) -> tuple[SoldCall, ...]:
        return sold_calls(self.entries, self.steps)


def _accounts_in(pattern: str | Path) -> list[_AccountLog]:
    logs: dict[str, _AccountLog] = {}
    for path in log_files(pattern):
        for found in _records_in(path, logged_step):
            step = found if isinstance(found, LoggedStep) else _step_of_another_layout(found)
            if step is not None:
                account = account_name(step.mode, step.step.run_id)
                log = logs.setdefault(account, _AccountLog(account))
                log.steps.append(step.step)
                log.entries += step.ledger
    for log in logs.values():
        log.entries = _once_each(log.entries)
    return list(logs.values())


def _step_of_another_layout(record: dict[str, Any]) -> LoggedStep | None:
    step = None if "event" in record else step_of(record)
    entries = tuple(_entries_of([] if step is None else [migrated(record)]))
    return None if step is None else LoggedStep(step, str(record.get("mode")), entries)


def _entries_of(records: Iterable[dict[str, Any]]) -> Iterator[LoggedEntry]:
    unreadable = 0
    for record in records:
        where = {"account": _account_of(record), "run_id": record.get("run_id"), "iteration": record.get("iteration")}
        for row in record.get("ledger") or ():
            lost: list[str] = []
            entry = read_tolerantly(LoggedEntry, {**row, **where}, lost)
            unreadable += bool(lost)
            if not lost:
                yield entry
    if unreadable:
        warnings.warn(f"{unreadable} entries of the ledger cannot be read and are left out", stacklevel=3)


def _once_each(entries: Iterable[Entry]) -> list[Entry]:
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.model_dump_json(include=SAME_ENTRY), entry)
    return list(first.values())


def _account_of(record: Mapping[str, Any]) -> str:
    return account_name(str(record.get("mode")), str(record.get("run_id")))


def account_name(mode: str, run_id: str) -> str:
    """Simulated and recorded runs start with a fresh account each, the others go on with theirs."""
    return mode if mode in ("testnet", "loopback", "dry_run") else run_id


def _found(pattern: str | Path) -> Iterator[dict[str, Any]]:
    return (migrated(record) for path in log_files(pattern) for record in _records_in(path))


def log_files(pattern: str | Path) -> list[Path]:
    """The files that a path, a folder or a pattern means; FileNotFoundError where there is none."""
    files = _files(pattern)
    if not files:
        raise FileNotFoundError(errno.ENOENT, "no log file", str(pattern))
    return files


def _files(pattern: str | Path) -> list[Path]:
    """The files meant by a path or a pattern. What exists is taken as it is, brackets too; a folder for its logs."""
    folder, rest = Path(pattern), list[str]()
    while not folder.exists() and folder.name:
        folder, rest = folder.parent, [folder.name, *rest]
    if folder.is_file():
        return [] if rest else [folder]
    patterns = ["/".join(rest)] if rest else ["*.jsonl", "*.jsonl*.gz"]
    found = {path for one in patterns for path in folder.glob(one) if path.is_file() and path.name[0] != "."}
    return sorted(path for path in found if path.suffix != ".gz" or path.with_suffix("") not in found)


def _records_in(path: Path, quickly: Callable[[bytes], Any] = json_object) -> Iterator[Any]:
    """The lines of one file, one at a time; lines that cannot be read are left out with a warning.

    `quickly` makes what is wanted of an ordinary line, in one pass; of a line that it returns None for, the JSON
    object comes.
    """
    unreadable = []
    for number, line in enumerate(_lines(path), 1):
        record = quickly(line) or json_object(line)
        if record is None:
            unreadable.append(number)
        else:
            yield record
    if unreadable:
        what = f"{len(unreadable)} lines cannot be read and are" if unreadable[1:] else "a line cannot be read and is"
        warnings.warn(f"{path}: {what} left out (line {unreadable[0]})", stacklevel=2)


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb", READ_AT_ONCE) as file:
        try:
            yield from file
        except (EOFError, OSError, zlib.error) as error:  # a packed file that was cut
            yield f"{path} ends early: {error}".encode()


def _with_figures(record: dict[str, Any], wanted: Sequence[str] | None) -> dict[str, Any]:
    """A decision with figures taken out of its nested parts."""
    if wanted is not None and set(wanted) <= IterationRecord.model_fields.keys():
        return record
    reason = (record.get("proposed_action") or {}).get("reason")
    return record | state_figures(record.get("agent_state")) | {"reason": reason}


def state_from_record(record: Mapping[str, Any]) -> AgentState:
    """The state of a logged iteration, equal to the one that was decided on.

    Of an older layout as much as can be made out, None where a field is missing (a warning names it). ValueError where
    the iteration ended without a state.
    """
    if not isinstance(record.get("agent_state"), dict):
        raise ValueError(f"iteration {record.get('iteration')} has no state: {record.get('error')}")
    lost: list[str] = []
    state = read_tolerantly(AgentState, record["agent_state"], lost)
    if lost:
        warnings.warn(f"the state lacks {', '.join(lost)}: another version of the agent wrote it", stacklevel=2)
    return state


def read_logged_decisions(pattern: str | Path) -> Iterator[LoggedDecision]:
    """Every decision of the logs, with its state as it was decided on, one at a time in the order of the files.

    The state of an older line lacks what it did not write: None, and a warning names it. Files as in read_decisions.
    """
    lost: dict[str, None] = {}
    for path in log_files(pattern):
        for found in _records_in(path, decision_of_today):
            decision = found if isinstance(found, LoggedDecision) else decision_of(found)
            if decision is not None:
                lost |= dict.fromkeys(decision.lost)
                yield decision
    if lost:
        warnings.warn(f"lines lack {', '.join(lost)}: another version of the agent wrote them", stacklevel=2)


def highest_run(folder: Path, mode: str) -> int:
    """The highest number of a run (7 of simulated-0007) of which a log folder holds lines, packed ones too; or 0."""
    name = re.compile(rb'"run_id": ?"' + mode.encode() + rb'-(\d{4,9})"')
    return max((int(number) for path in _files(folder) for number in name.findall(_end_of(path))), default=0)


def _end_of(path: Path) -> bytes:
    """The last lines of a file; of a packed one all."""
    if path.suffix == ".gz":
        return b"".join(_lines(path))
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read()


def last_record(folder: Path, mode: str = "") -> IterationRecord | None:
    """The newest whole line of a log folder (of a mode), None where there is none; `lost` says what it lacks.

    Raises ConfigurationError where there are lines, and each is of a newer version of the agent or no decision.
    """
    paths = sorted(folder.glob("decisions-*.jsonl"))[-NEWEST_FILES:]
    records = [record for path in paths if (record := _last_of(path, mode)) is not None]
    # By the count that goes on from run to run: our own clock names the files and may have stepped back.
    return max(records, key=lambda record: (record.sequence, record.timestamp), default=None)


def _last_of(path: Path, mode: str) -> IterationRecord | None:
    lines = [line for line in _end_of(path).split(b"\n")[:-1] if _is_of_mode(line, mode)]
    readable = (_decision(line) for line in reversed(lines))
    newest = next((record for record in readable if record is not None), None)
    if newest is None and lines:
        raise ConfigurationError(f"the last line of {path} was written by another version of the agent")
    return newest


def _is_of_mode(line: bytes, mode: str) -> bool:
    """By the mode or by the run's name, which begins with it."""
    return line.startswith(b"{") and re.search(rb'"(mode|run_id)": ?"' + mode.encode(), line) is not None


def _decision(line: bytes) -> IterationRecord | None:
    """A line as a record, of an older layout as far as it goes; None where it does not even say when it was."""
    record = json_object(line)
    if record is None or is_of_newer_version(record):
        return None
    lost: list[str] = []
    found = read_tolerantly(IterationRecord, migrated(record), lost)
    if found.timestamp is None:
        return None
    is_half = any(name.startswith("agent_state") for name in lost)  # nothing is held against half a state
    found = found.model_copy(update={"agent_state": None}) if is_half else found
    found._lost = tuple(lost)
    return found
