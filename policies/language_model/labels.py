"""The actions a model may choose from, each under one letter: there is no symbol and no size for it to make up.

In: a state, whose `choices` are what the risk engine allows. Out: LabelledActions, doing nothing first. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from models import ActionType, AgentState, Choice

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class LabelledAction:
    """One letter, and what is done where it is chosen."""

    label: str
    action: Choice


def labelled_actions(state: AgentState) -> tuple[LabelledAction, ...]:
    """Every allowed action, in the state's order; of more than the alphabet has letters, those with the best scores."""
    nothing = Choice(type=ActionType.DO_NOTHING, label="nothing")
    others = [choice for choice in state.choices if choice.type != ActionType.DO_NOTHING]
    best = sorted(others, key=lambda choice: choice.score, reverse=True)[: len(LETTERS) - 1]
    shown = [nothing, *(choice for choice in others if choice in best)]
    return tuple(LabelledAction(letter, choice) for letter, choice in zip(LETTERS, shown, strict=False))
