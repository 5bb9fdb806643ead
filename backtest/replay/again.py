"""Decide again on every state of a log, and see what has changed.

In: a Log, a policy, the settings of each run. Out: a Replay: how many decisions are as before, and each Change. Two
decisions are the same where type, coin, symbols and size are; the words of the reason may differ. Calls the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backtest.replay.logged import Log, Point
from config import AgentConfig
from models import AgentState, ProposedAction
from policies.call import Policy, ask_for_many
from policies.garbage import no_garbage
from state_builder import with_choices

DECIDED = ("type", "underlying", "symbol", "new_symbol", "size")


@dataclass(frozen=True)
class Change:
    """A state on which another action is wanted now. `error`: the policy raised, or returned no action."""

    point: Point
    new: ProposedAction
    error: str | None

    @property
    def old(self) -> ProposedAction:
        return self.point.decision.proposed_action


@dataclass(frozen=True)
class Replay:
    """Every state decided again; `errors` are those on which the policy failed."""

    decided: int
    changes: tuple[Change, ...]
    errors: int

    @property
    def agreements(self) -> int:
        return self.decided - len(self.changes)


def decide_again(log: Log, policy: Policy, settings: Mapping[str, AgentConfig]) -> Replay:
    """`settings` by run. The states are handed over as they are: a policy that pries one open changes it for good."""
    changes: list[Change] = []
    errors = 0
    with no_garbage():
        for run_id, points in log.runs.items():
            states = [_with_choices(point.state, settings[run_id]) for point in points]
            answers = ask_for_many(policy, states, settings[run_id], with_odds=False)
            errors += len([answer for answer in answers if answer.error is not None])
            changes += [
                Change(point, answer.action, answer.error)
                for point, answer in zip(points, answers, strict=True)
                if not is_same(point.decision.proposed_action, answer.action)
            ]
    return Replay(len(log.points), tuple(changes), errors)


def _with_choices(state: AgentState, config: AgentConfig) -> AgentState:
    """Older lines do not say what was allowed; by the settings of their run it can be said now."""
    return state if state.choices else with_choices(state, config)


def is_same(old: ProposedAction, new: ProposedAction) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in DECIDED)
