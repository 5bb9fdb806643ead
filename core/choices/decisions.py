"""What a policy chooses from and what it answers: the half of the vocabulary that is about decisions.

`models` hands all of it on. Sizes in coin, prices in coin a contract, probabilities 0 to 1. Nothing here can be changed
after it was made. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from deribit.vocabulary import Frozen, NonNegative, Underlying


class Reason(Frozen):
    """Why something may not be done: the name of the rule, and a sentence. In logs it is one text, "rule: sentence"."""

    rule: str
    text: str

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        rule, _, text = value.partition(": ")
        return {"rule": rule, "text": text}

    @model_serializer
    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


# --- decisions ------------------------------------------------------------------


class ActionType(StrEnum):
    """What a policy can propose."""

    DO_NOTHING = "DO_NOTHING"
    OPEN_COVERED_CALL = "OPEN_COVERED_CALL"
    ROLL_COVERED_CALL = "ROLL_COVERED_CALL"
    CLOSE_COVERED_CALL = "CLOSE_COVERED_CALL"


class ScorePart(Frozen):
    """One term of a score: its name and how many points it gave."""

    name: str
    points: float


class Action(Frozen):
    """What can be done: `symbol` is the call to sell or to buy back; a roll sells `new_symbol` instead."""

    type: ActionType
    underlying: Underlying | None = None
    symbol: str | None = None
    new_symbol: str | None = None
    size: NonNegative = 0.0

    def is_like(self, other: Action) -> bool:
        """Whether both do the same with the same calls, in whatever size."""
        return (self.type, self.symbol, self.new_symbol) == (other.type, other.symbol, other.new_symbol)


class Choice(Action):
    """An action that the risk engine allows in a state. `score`: points (core/choices/scoring.py), of nothing 0.

    `label` names it in one text that no other choice of the state has: "nothing", "open SYMBOL", "close SYMBOL",
    "roll SYMBOL > SYMBOL". A sale's parts stand at its candidate, a roll's are those of its buy-back and of its sale.
    """

    label: str
    score: float = 0.0
    score_parts: tuple[ScorePart, ...] = ()

    def proposed(self, reason: str, choices: tuple[ActionOption, ...] = ()) -> ProposedAction:
        """This choice as what a policy returns."""
        return ProposedAction(
            type=self.type,
            underlying=self.underlying,
            symbol=self.symbol,
            new_symbol=self.new_symbol,
            size=self.size,
            reason=reason,
            choices=choices,
        )

    def drawn_with(self, probability: float) -> ActionOption:
        """This choice as one that is done with a probability; above 1 by rounding is 1."""
        return ActionOption(
            type=self.type,
            symbol=self.symbol,
            new_symbol=self.new_symbol,
            label=self.label,
            score=self.score,
            probability=min(1.0, probability),
        )


class ActionOption(Frozen):
    """One of the actions a policy chose from, and how likely it was.

    `label` is that of the state's choice. Older lines have none; there `symbol` of a roll is the call that is sold.
    """

    type: ActionType
    symbol: str | None = None
    new_symbol: str | None = None
    label: str = ""
    score: float | None = None
    score_parts: tuple[ScorePart, ...] = ()
    probability: float = Field(ge=0, le=1)


ModelOutcome = Literal[
    "chosen",
    "only_action",
    "blocked",
    "unavailable",
    "truncated",
    "refused",
    "invalid",
    "budget",
    "cache_miss",
]


class ModelCall(Frozen):
    """What was asked of a language model, and what came back. Only "chosen" is the model's own decision.

    only_action and blocked: it was not asked, there was nothing to choose. `reply` is its text, cut to a few hundred
    letters; the prompt stands once in the cache, under `prompt_hash`, a hash of everything that determines the reply.
    `thinking_seconds` is what the call took when it was made, also where the reply comes `from_cache`.
    """

    outcome: ModelOutcome
    model: str = ""
    host: str = ""
    template: str = ""
    prompt_hash: str | None = None
    reply: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    thinking_seconds: float | None = None
    from_cache: bool = False
    probabilities: Literal["logprobs", "not given", "not asked"] = "not asked"


class ProposedAction(Action):
    """What the policy wants. `model_call`: what was asked of a language model for it, if any was."""

    reason: str = Field(min_length=1, max_length=1000)
    choices: tuple[ActionOption, ...] = Field((), max_length=1000)
    model_call: ModelCall | None = None
