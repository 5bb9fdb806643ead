"""Now and then another allowed action than the policy's, so that training data holds more than one choice.

In: a state with its choices, the policy's action, settings. Out: the action that is to be done, with every choice whose
probability is above 0. Epsilon-greedy: exploration_pct of the decisions are drawn evenly from doing nothing and the
exploration_best choices with the highest scores. The draw comes after the risk engine's word, so the logged
probabilities are those of what happens; it depends on seed and time of the state alone, so deciding again draws the
same. Pure.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from config import AgentConfig
from models import ROUNDING, Action, ActionOption, ActionType, AgentState, Choice, ProposedAction

MAX_REASON_LETTERS = 1000


def explored(state: AgentState, action: ProposedAction, config: AgentConfig) -> ProposedAction:
    """The policy's action, or the one drawn instead, with the odds of what could have been.

    An action that is no choice (refused, or of another size than the settings') is left as it is, and nothing is drawn:
    it alone is proposed. A state of an older log has no choices; its action comes back as it is, and so does that of a
    language model that did not say how likely its letters were: no odds are better than made-up ones.
    """
    call = action.model_call
    if not state.choices or (call is not None and call.probabilities == "not given"):
        return action
    own = _choice_of(state, action)
    if own is None:
        return action.model_copy(update={"choices": (_own_option(action),)})
    share = config.run.exploration_pct / 100.0
    pool = _pool(state.choices, config.run.exploration_best) if share > 0.0 else []
    drawn = _draw(state, pool, share) or own
    odds = _odds(state.choices, _policy_odds(state.choices, own, action), pool, share)
    if drawn is own:
        return action.model_copy(update={"choices": tuple(odds)})
    why = f"exploring: {drawn.label} instead of {own.label}; {action.reason}"[:MAX_REASON_LETTERS]
    return drawn.proposed(why, tuple(odds)).model_copy(update={"model_call": action.model_call})


def _choice_of(state: AgentState, action: ProposedAction) -> Choice | None:
    """The choice that the action is, size included."""
    if action.type == ActionType.DO_NOTHING:
        return next((choice for choice in state.choices if choice.type == ActionType.DO_NOTHING), None)
    found = state.choice_of(action)
    return found if found is not None and found.size == action.size else None


def _pool(choices: Sequence[Choice], most: int) -> list[Choice]:
    """Doing nothing, and the best of the others; labels decide between equals."""
    ranked = sorted(choices, key=lambda choice: (-choice.score, choice.label))
    nothing = [choice for choice in ranked if choice.type == ActionType.DO_NOTHING]
    return nothing + [choice for choice in ranked if choice.type != ActionType.DO_NOTHING][:most]


def _draw(state: AgentState, pool: Sequence[Choice], share: float) -> Choice | None:
    """What is done instead of the policy's action; None where that stands."""
    if not pool:
        return None
    dice = random.Random(f"{state.seed}:{state.timestamp.isoformat()}")
    return pool[dice.randrange(len(pool))] if dice.random() < share else None


def _policy_odds(choices: Sequence[Choice], own: Choice, action: ProposedAction) -> Mapping[str, float]:
    """By label: what the policy says its own odds were, where they add up; else all is on its action."""
    if not action.choices:
        return {own.label: 1.0}
    said = {option.label: option.probability for option in action.choices}
    is_whole = math.isclose(math.fsum(said.values()), 1.0, abs_tol=ROUNDING)
    return said if is_whole and said.keys() <= {choice.label for choice in choices} else {own.label: 1.0}


def _odds(
    choices: Sequence[Choice], own: Mapping[str, float], pool: Sequence[Choice], share: float
) -> list[ActionOption]:
    """What could have happened; the other choices of the state have 0, and a line is long enough without them."""
    drawn = {choice.label: share / len(pool) for choice in pool}
    both = {label: (1.0 - share) * own.get(label, 0.0) + drawn.get(label, 0.0) for label in own.keys() | drawn.keys()}
    likely = [choice for choice in choices if both.get(choice.label, 0.0) > 0.0]
    return [choice.drawn_with(both[choice.label]) for choice in likely]


def _own_option(action: Action) -> ActionOption:
    """An action that is none of the choices."""
    label = f"{action.size:g} {action.type} {action.symbol}"
    return ActionOption(
        type=action.type, symbol=action.symbol, new_symbol=action.new_symbol, label=label, probability=1.0
    )
