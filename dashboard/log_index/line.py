"""What the index keeps of a line of the decision log: enough for lists, sums and pictures. Pure.

In: the bytes of a line, of any version. Out: a Line (flat words and figures), its Step and its ledger entries as
`core.results` reads them, so that sums made of them are those of `--report`. None where it is no decision.
Amounts in coin, prices in USD, volatility as fractions; None where the line does not say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from core.log_lines.frames import state_figures
from core.log_lines.old_lines import is_of_newer_version, json_object, migrated, read_tolerantly
from core.results.steps import LoggedStep, Step, logged_step, step_of
from logging_utils import account_name
from models import ActionType, LedgerEntry

MOST_LETTERS = 1_000
FIGURES = re.compile(r"\b([A-Z]+)-\d+[A-Z]{3}\d+-\d+-[CP]\b|[-+]?\d[\d,.:]*")
STEPS = TypeAdapter(Step)
VOLATILITIES = [f"{name}_{coin}" for coin in ("btc", "eth") for name in ("atm_iv", "rv", "iv_rv")]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log. `id` rises with each line that the index has seen; `error` is its last sentence.

    `blocked_by`: the first reason of the risk engine. `candidates`: calls that passed the filters, `held`: short calls.
    Answers about a year hold a hundred thousand of them: they are small, `volatilities` are JSON until asked for.
    """

    id: int
    run_id: str
    iteration: int
    account: str
    at: datetime
    mode: str
    market: str
    policy: str
    config_hash: str
    policy_hash: str
    action_type: str
    underlying: str | None
    symbol: str | None
    size: float
    executed_status: str
    allowed: bool
    trading_state: str
    error: str | None
    reason: str
    blocked_by: str | None
    candidates: int
    held: int
    has_state: bool
    volatilities: str

    @property
    def figures(self) -> Mapping[str, float | None]:
        """IV, RV and their ratio of each coin, as fractions."""
        found: dict[str, float | None] = json.loads(self.volatilities)
        return found

    @property
    def is_quiet(self) -> bool:
        """Nothing was done, wanted or wrong."""
        return self.action_type == ActionType.DO_NOTHING and self.error is None and self.blocked_by is None

    @property
    def link(self) -> str:
        return f"/line/{self.run_id}/{self.iteration}"


@dataclass(frozen=True)
class ReadLine:
    """A line as it is put into the index; `is_about_orders`: its Step says what was sold or bought back."""

    line: Line
    step: Step
    entries: tuple[LedgerEntry, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Position(_Part):
    side: str = ""
    option_type: str = ""


class _Portfolio(_Part):
    positions: tuple[_Position, ...] = ()


class _Candidate(_Part):
    symbol: str = ""


class _State(_Part):
    markets: tuple[dict[str, Any], ...] = ()
    portfolio: _Portfolio = _Portfolio()
    candidates: tuple[_Candidate, ...] = ()


class _Proposal(_Part):
    reason: str = ""


class _Verdict(_Part):
    reasons: tuple[str, ...] = ()


class _Flat(_Part):
    schema_version: int = 2
    policy: str = ""
    market: str = ""
    config_hash: str = ""
    policy_hash: str = ""
    action_type: str
    underlying: str | None = None
    symbol: str | None = None
    size: float | None = 0.0
    allowed: bool | None = True
    executed_status: str | None = "none"
    trading_state: str | None = "ACTIVE"
    error: str | None = None
    agent_state: _State | None = None
    proposed_action: _Proposal = _Proposal()
    risk_engine_result: _Verdict = _Verdict()


def read_line(raw: bytes) -> ReadLine | None:
    """A line in two quick passes; of another layout as much as can be made out; None where it is no decision.

    Raises NewerVersionError for a line of a newer version of the agent: its words may mean something else.
    """
    try:
        flat, logged = _Flat.model_validate_json(raw), logged_step(raw)
    except ValidationError:
        return _of_another_layout(raw)
    if flat.schema_version != 2 or logged is None:
        return _of_another_layout(raw)
    return _put_together(flat, logged)


class NewerVersionError(ValueError):
    """The line was written by a newer version of the agent."""


def _of_another_layout(raw: bytes) -> ReadLine | None:
    record = json_object(raw)
    if record is None or "event" in record or "iteration" not in record:
        return None
    if is_of_newer_version(record):
        raise NewerVersionError(str(record.get("schema_version")))
    record = migrated(record)
    step = step_of(record)
    if step is None:
        return None
    flat = read_tolerantly(_Flat, record, [])
    entries = tuple(_entries(record.get("ledger") or ()))
    return _put_together(flat, LoggedStep(step, str(record.get("mode")), entries))


def _entries(rows: Iterable[Any]) -> Iterable[LedgerEntry]:
    for row in rows:
        lost: list[str] = []
        entry = read_tolerantly(LedgerEntry, row, lost) if isinstance(row, dict) else None
        if entry is not None and not lost:
            yield entry


def shape_of(text: str) -> str:
    """A text with # for every figure, and for all of a symbol but its coin: BTC-16JAN26-110000-C is BTC-#."""
    return FIGURES.sub(lambda found: f"{found[1]}-#" if found[1] else "#", text)


def _put_together(flat: _Flat, logged: LoggedStep) -> ReadLine:
    step, state = logged.step, flat.agent_state
    markets = () if state is None else state.markets
    figures = state_figures({"markets": markets})
    error = (flat.error or "").strip().splitlines()
    reasons = flat.risk_engine_result.reasons if flat.risk_engine_result else ()
    line = Line(
        id=0,
        run_id=step.run_id,
        iteration=step.iteration,
        account=account_name(logged.mode, step.run_id),
        at=step.at,
        mode=logged.mode,
        market=flat.market or "",
        policy=flat.policy or "",
        config_hash=flat.config_hash or "",
        policy_hash=flat.policy_hash or "",
        action_type=flat.action_type or "?",
        underlying=flat.underlying,
        symbol=flat.symbol,
        size=flat.size or 0.0,
        executed_status=flat.executed_status or "none",
        allowed=bool(flat.allowed),
        trading_state=flat.trading_state or "ACTIVE",
        error=error[-1][:MOST_LETTERS] if error else None,
        reason=(flat.proposed_action.reason if flat.proposed_action else "")[:MOST_LETTERS],
        blocked_by=None if flat.allowed or not reasons else reasons[0][:MOST_LETTERS],
        candidates=0 if state is None else len(state.candidates),
        held=len(step.held),
        has_state=step.has_state,
        volatilities=json.dumps({name: value for name, value in figures.items() if name in VOLATILITIES}),
    )
    return ReadLine(line, step, logged.ledger)
