"""What a decision could choose from: every action that the risk engine allowed in its state, with its odds.

In: a record of the log. Out: rows for a table: label, size in coin, score in points with its parts, probability from 0
to 1 (None where no odds were logged). Lines of before there were choices have what the policy named. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from logging_utils import IterationRecord
from models import ActionOption, ActionType, AgentState, Choice, ProposedAction, ScorePart


class ChoiceRow(NamedTuple):
    """One action that could have been taken. `size_coin` is None where the line does not say."""

    label: str
    size_coin: float | None
    score: float | None
    parts: tuple[ScorePart, ...]
    probability: float | None
    is_taken: bool


def choice_rows(record: IterationRecord) -> list[ChoiceRow]:
    """The likeliest first, then the best score first."""
    state, action = record.agent_state, record.proposed_action
    if state is None or not state.choices:
        rows = [_named_by_the_policy(option, action) for option in action.choices]
    else:
        rows = [_allowed(choice, state, action) for choice in state.choices]
    return sorted(rows, key=lambda row: (-(row.probability or 0.0), not row.is_taken, -(row.score or 0.0)))


def _allowed(choice: Choice, state: AgentState, action: ProposedAction) -> ChoiceRow:
    return ChoiceRow(
        label=choice.label,
        size_coin=choice.size or None,
        score=choice.score,
        parts=_parts(choice, state),
        probability=_probability(choice, action),
        is_taken=choice.is_like(action),
    )


def _parts(choice: Choice, state: AgentState) -> tuple[ScorePart, ...]:
    """Those of a sale stand at its candidate, a roll's are those of its buy-back and of its sale."""
    if choice.type != ActionType.ROLL_COVERED_CALL:
        return choice.score_parts or _sale_parts(choice.symbol, state)
    closes = (one for one in state.choices if one.type == ActionType.CLOSE_COVERED_CALL)
    close = next((one for one in closes if one.symbol == choice.symbol), None)
    return (() if close is None else close.score_parts) + _sale_parts(choice.new_symbol, state)


def _sale_parts(symbol: str | None, state: AgentState) -> tuple[ScorePart, ...]:
    call = state.candidate(symbol)
    return () if call is None else call.score_parts


def _probability(choice: Choice, action: ProposedAction) -> float | None:
    """What is not among the odds that were logged was not going to be done."""
    if not action.choices:
        return None
    options = (option for option in action.choices if _names(option) == _names(choice))
    return next((option.probability for option in options), 0.0)


def _names(action: Choice | ActionOption | ProposedAction) -> tuple[str, str | None, str | None]:
    return action.type.value, action.symbol, action.new_symbol


def _named_by_the_policy(option: ActionOption, action: ProposedAction) -> ChoiceRow:
    kind = "nothing" if option.symbol is None else option.type.value.split("_")[0].lower()
    label = option.label or f"{kind} {option.symbol or ''}".strip()
    is_taken = _names(option) == _names(action)
    return ChoiceRow(label, None, option.score, option.score_parts, option.probability, is_taken)
