"""A line of the decision log as far as a decision needs it: the state that was decided on, and what was decided. Pure.

In: the bytes of a line, or its JSON object. Out: a LoggedDecision. A line of today's layout is read in one pass, and
what it holds beside that is skipped; a line of any other layout is read as tolerantly as everywhere (old_lines.py),
several times as slowly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, PrivateAttr, ValidationError

from core.log_lines.old_lines import SCHEMA_VERSION, migrated, read_tolerantly
from models import AgentState, LedgerEntry, ProposedAction, ShadowDecision


class LoggedDecision(BaseModel):
    """What stands in a line: of which run, the state, the action, what the ledger had to say."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    schema_version: int = SCHEMA_VERSION
    run_id: str
    iteration: int
    timestamp: AwareDatetime
    mode: str = ""
    market: str = ""
    policy: str = ""
    config_hash: str = ""
    policy_hash: str = ""
    settings_mode: str = "research"
    fills: str = "ladder"
    agent_state: AgentState | None = None
    proposed_action: ProposedAction
    allowed: bool = True
    shadows: tuple[ShadowDecision, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """Fields that a line of another version lacked and that have no default: they are None."""
        return ()


class OldDecision(LoggedDecision):
    """The same of a line of another version."""

    _lost: tuple[str, ...] = PrivateAttr(())

    @property
    def lost(self) -> tuple[str, ...]:
        return self._lost


def decision_of_today(line: bytes) -> LoggedDecision | None:
    """The decision in a line of today's layout; None for any other line."""
    try:
        decision = LoggedDecision.model_validate_json(line)
    except ValidationError:
        return None
    return decision if decision.schema_version == SCHEMA_VERSION else None


def decision_of(record: dict[str, Any]) -> LoggedDecision | None:
    """The decision in the JSON object of any line; None where it is none, or does not say when it was."""
    if "event" in record or "proposed_action" not in record:
        return None
    lost: list[str] = []
    decision = read_tolerantly(OldDecision, _known(migrated(record)), lost)
    decision._lost = tuple(lost)
    return None if decision.timestamp is None or decision.proposed_action.type is None else decision


def _known(record: Mapping[str, Any]) -> dict[str, Any]:
    """Without the parts that a decision does not need, which may be half of an old line."""
    return {name: value for name, value in record.items() if name in LoggedDecision.model_fields}
