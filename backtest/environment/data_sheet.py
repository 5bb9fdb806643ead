"""The data sheet's figures: what doing nothing, a random policy and the rule-based one earn on ten seeds.

`python -m backtest.environment.data_sheet [SEEDS]` prints them: USD over holding the coins, episodes of 90 steps of 24
hours on the simulated market, one episode a seed. The random policy draws among the actions that the mask allows.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.actions import NOTHING, action_mask, action_of
from config import AgentConfig
from models import AgentState, ProposedAction
from policy_rule_based import decide_action

SEEDS = 10
Choice = Callable[[AgentState, AgentConfig, random.Random], ProposedAction]


def nothing(state: AgentState, config: AgentConfig, dice: random.Random) -> ProposedAction:  # noqa: ARG001
    return NOTHING


def at_random(state: AgentState, config: AgentConfig, dice: random.Random) -> ProposedAction:
    allowed = action_mask(state, config).nonzero()[0].tolist()
    return action_of(dice.choice(allowed), state, config) or NOTHING


def rule_based(state: AgentState, config: AgentConfig, dice: random.Random) -> ProposedAction:  # noqa: ARG001
    return decide_action(state, config)


def episode_return_usd(choice: Choice, seed: int) -> float:
    """USD over holding at the end of one episode."""
    environment, dice = CoveredCallEnv(seed=seed), random.Random(seed)
    state, total_usd, done = environment.reset(), 0.0, False
    while not done:
        state, reward_usd, done, _ = environment.step(choice(state, environment.config, dice))
        total_usd += reward_usd
    return total_usd


def main(seeds: int) -> None:
    """Print a line a policy."""
    for choice in (nothing, at_random, rule_based):
        returns = [episode_return_usd(choice, seed) for seed in range(1, seeds + 1)]
        mean, least, most = statistics.fmean(returns), min(returns), max(returns)
        print(f"{choice.__name__:11} mean {mean:8.0f}  worst {least:8.0f}  best {most:8.0f} USD", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS)
