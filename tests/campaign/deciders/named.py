"""Everybody who may decide in a schedule, by name: to act, or as a shadow, in which more may be wrong.

In: names, the seed of a schedule. Out: a policy for the agent, or Shadows. One that hangs does so in the time of the
watchdog, not in ours: the alarm that would come after AGENT_POLICY_SECONDS comes at once.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from functools import partial
from typing import Any

import policy_rule_based
from config import AgentConfig
from models import AgentState, ProposedAction
from policies import llm
from policies.call import Policy
from policies.shadow import Shadow
from tests.campaign.deciders.forbidden import forbidden_action
from tests.campaign.world.policies import eager_action

SHADOWS = ("rule_based", "eager", "llm", "forbidden", "raises", "hangs", "hangs on", "nonsense")


def shadows_named(names: Iterable[str], seed: str) -> tuple[Shadow, ...]:
    """In the order given; what they draw is not what the acting policy draws."""
    return tuple(Shadow(name, "p-shadow", policy_named(name, f"{seed}:shadow")) for name in names)


def policy_named(name: str, seed: str) -> Policy:
    named: dict[str, Policy] = {
        "rule_based": policy_rule_based.decide_action,
        "llm": llm.decide_action,
        "eager": partial(eager_action, seed=seed),
        "forbidden": partial(forbidden_action, seed=seed),
        "raises": _raises,
        "hangs": _hangs,
        "hangs on": _hangs_on,
        "nonsense": _nonsense,
    }
    return named[name]


def _raises(_state: AgentState, _config: AgentConfig) -> ProposedAction:
    raise SystemExit(3)


def _hangs(_state: AgentState, _config: AgentConfig) -> ProposedAction:
    while True:
        signal.raise_signal(signal.SIGALRM)


def _hangs_on(_state: AgentState, _config: AgentConfig) -> ProposedAction:
    """Catches the first alarm and goes on."""
    try:
        _hangs(_state, _config)
    except BaseException:  # noqa: BLE001 - that is what is wrong with it
        return _hangs(_state, _config)
    raise AssertionError("the alarm was not heard")


def _nonsense(state: AgentState, _config: AgentConfig) -> Any:
    """Changes what it was given, too."""
    state.__dict__["kill_switch_on"] = True
    state.portfolio.__dict__["positions"] = ()
    return {"type": "OPEN_COVERED_CALL", "underlying": "BTC", "symbol": "BTC-PERPETUAL", "size": 1e9}
