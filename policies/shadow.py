"""Shadow policies: what others would have done on the same state, checked like the real thing and never sent.

In: policies, the state that was decided on, settings, the judge. Out: a ShadowDecision for each. They get copies, after
the acting policy's orders are out, one by one in the main thread under the same watchdog; what one of them raises is in
its own decision alone. The judge is handed in: policies stand below the risk engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from config import AgentConfig
from core.text import writable
from models import AgentState, ProposedAction, RiskResult, ShadowDecision
from policies.call import Policy, ask_policy

MOST_ERROR_LETTERS = 2_000

Judge = Callable[[AgentState, ProposedAction, AgentConfig], RiskResult]


@dataclass(frozen=True)
class Shadow:
    """A policy that only watches: its name, as given, and the hash of its file."""

    name: str
    policy_hash: str
    policy: Policy


def shadow_decisions(
    shadows: Sequence[Shadow],
    state: AgentState,
    config: AgentConfig,
    judge: Judge,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[ShadowDecision]:
    """One decision a shadow, in the order given; those left when the run is being stopped are not asked."""
    for shadow in shadows:
        if is_stopped():
            return
        answer = ask_policy(shadow.policy, state, config)
        yield ShadowDecision(
            policy=shadow.name,
            policy_hash=shadow.policy_hash,
            action=answer.action,
            check=judge(state, answer.action, config),
            error=None if answer.error is None else writable(answer.error)[-MOST_ERROR_LETTERS:],
        )
