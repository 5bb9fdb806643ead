"""An answer as an action: the one behind the letter, or DO_NOTHING; what is known of the call goes with it. Pure.

In: what came of asking, the labelled actions, settings. Out: a ProposedAction with its `model_call`, and with the
probabilities of all letters where the endpoint gave logprobs; else `choices` is empty: they are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from config import AgentConfig
from models import ActionType, ModelCall, ProposedAction
from policies.language_model.asking import Asked
from policies.language_model.labels import LabelledAction
from policies.language_model.prompt import TEMPLATE
from policies.language_model.reply import probabilities_of

MOST_REASON_LETTERS = 500


def nothing(asked: Asked) -> ProposedAction:
    """DO_NOTHING that is not the model's decision."""
    return ProposedAction(
        type=ActionType.DO_NOTHING, reason=asked.why[:MOST_REASON_LETTERS], model_call=_model_call(asked, "not asked")
    )


def chosen(asked: Asked, actions: Sequence[LabelledAction], config: AgentConfig) -> ProposedAction:
    """The action behind the letter."""
    reading = asked.reading
    if reading is None or reading.label is None:
        raise ValueError("nothing was chosen")
    label, log_odds = reading.label, reading.log_odds
    choice = next(entry.action for entry in actions if entry.label == label)
    labels = [entry.label for entry in actions]
    odds = None if log_odds is None else probabilities_of(log_odds, label, labels, config.llm.temperature)
    said = "its probability is not known" if odds is None else f"with probability {odds[label]:.2f}"
    reason = f"{asked.model} chose {label} ({choice.label}) of A to {labels[-1]}, {said}"
    options = () if odds is None else tuple(entry.action.drawn_with(odds[entry.label]) for entry in actions)
    action = choice.proposed(reason[:MOST_REASON_LETTERS], options)
    return action.model_copy(update={"model_call": _model_call(asked, "not given" if odds is None else "logprobs")})


def _model_call(asked: Asked, probabilities: Literal["logprobs", "not given", "not asked"]) -> ModelCall:
    reading = asked.reading
    return ModelCall(
        outcome=asked.outcome,
        model=asked.model,
        host=asked.host,
        template=TEMPLATE,
        prompt_hash=asked.prompt_hash,
        reply=None if reading is None else reading.text,
        finish_reason=None if reading is None else reading.finish_reason,
        prompt_tokens=None if reading is None else reading.prompt_tokens,
        reply_tokens=None if reading is None else reading.reply_tokens,
        thinking_seconds=asked.thinking_seconds,
        from_cache=asked.from_cache,
        probabilities=probabilities,
    )
