"""Environments for learning: steps a CPU-second, beside gymnasium's CartPole and the bare arithmetic of a chain.

In: nothing but this machine. Out: lines of figures and ratios, all of one run. Actions are drawn outside the clock. The
vector environment's markets are worked out first, into a folder that is thrown away; that is told, and not counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from backtest.env_simulator import CoveredCallEnv
from backtest.gym_env import CoveredCallGymEnv
from backtest.vector_env import CoveredCallVectorEnv
from config import load_config
from core.columns import Integers
from tests.benchmarks.phases import OPTIONS, black76_ms

ACCOUNTS = 4_096
MARKETS, MARKET_STEPS = 16, 30
SINGLE_STEPS, VECTOR_STEPS = 200, 200
STEP_HOURS = (1.0, 6.0, 24.0)  # a longer step has more of the market's path to draw

Choose = Callable[[Any], Any]


def learning() -> None:
    """Four rates, and each of ours as a multiple of its yardstick."""
    dice = np.random.default_rng(1)
    single = _rate(gymnasium.make("CartPole-v1"), lambda _: dice.integers(2), 20 * SINGLE_STEPS)
    cart_poles = gymnasium.make_vec("CartPole-v1", num_envs=ACCOUNTS, vectorization_mode="vector_entry_point")
    vector = ACCOUNTS * _rate(cart_poles, lambda _: dice.integers(2, size=ACCOUNTS), VECTOR_STEPS)
    options = OPTIONS / black76_ms() * 1000.0
    print(f"CartPole: {single:.0f} steps a CPU-second, {ACCOUNTS} at once: {vector:.0f}")
    print(f"Black-76: {options:.0f} deltas a CPU-second")
    config = load_config(env_file=None, overrides={"run": {"fills": "touch"}})
    for hours in STEP_HOURS:
        episode = CoveredCallGymEnv(CoveredCallEnv(config, steps=SINGLE_STEPS, step_hours=hours))
        ours = _rate(episode, _drawer(dice), SINGLE_STEPS)
        ratio = f"ratio {ours / single:.4f} to CartPole"
        print(f"CoveredCallGymEnv, steps of {hours:g} hours: {ours:.0f} a CPU-second, {ratio}")
    with tempfile.TemporaryDirectory() as folder:
        started = process_time()
        environment = CoveredCallVectorEnv(ACCOUNTS, config, range(MARKETS), MARKET_STEPS, folder=Path(folder))
        print(f"{MARKETS} markets of {MARKET_STEPS} steps: worked out in {process_time() - started:.1f} s CPU")
        many = ACCOUNTS * _rate(environment, _drawer(dice), VECTOR_STEPS)
    print(f"CoveredCallVectorEnv, {ACCOUNTS} accounts: {many:.0f} steps a CPU-second (must be 1,000,000)")
    print(f"ratio {many / vector:.3f} to CartPole's vector, {many / options:.2f} to an option of Black-76")


def _drawer(dice: np.random.Generator) -> Choose:
    """Any of the actions that the mask allows."""

    def draw(info: dict[str, Any]) -> Integers:
        mask: NDArray[Any] = info["action_mask"]
        drawn: Integers = (dice.random(mask.shape) * mask).argmax(axis=-1)
        return drawn

    return draw


def _rate(environment: Any, choose: Choose, steps: int) -> float:
    """Steps of the environment a CPU-second; a single one that is over is begun anew inside the clock."""
    _, info = environment.reset(seed=1)
    is_single = not isinstance(environment, gymnasium.vector.VectorEnv)
    taken = 0.0
    for _ in range(steps):
        action = choose(info)
        started = process_time()
        _, _, terminated, truncated, info = environment.step(action)
        if is_single and (terminated or truncated):
            _, info = environment.reset()
        taken += process_time() - started
    return steps / taken


if __name__ == "__main__":
    learning()
