"""CoveredCallGymEnv: CoveredCallEnv as a gymnasium environment: numbers in, numbers out, a mask of what is allowed.

In: a CoveredCallEnv, the numbers of actions. Out: observation, reward, terminated, truncated, info. All rules are those
of CoveredCallEnv and of the risk engine. Needs gymnasium (backtest/requirements.txt). No network.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.actions import ACTION_COUNT, NOTHING, actions_of, mask_of
from backtest.environment.observation import columns, observe
from backtest.environment.picture import picture_of
from backtest.environment.rewards import Worth, worth_of
from models import AgentState, ProposedAction

SEEDS = 2**31 - 1


class CoveredCallGymEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Selling covered calls on BTC and ETH by number.

    Data sheet
    ----------
    Observation  Box of float32, finite bounds, no NaN, a new array each time. `python -m
                 backtest.environment.observation` prints every column with unit and range; unknown figures are 0.
    Action       Discrete(23): 0 nothing; for BTC (1 to 11), then ETH (12 to 22): sell candidate 1 to 5, buy back, roll
                 to candidate 1 to 5. The call that is bought back or rolled is the one that expires first.
    Mask         `action_masks()` and `info["action_mask"]`: 1 where the risk engine allows the action itself, as it
                 would be sent. An action that is masked out does nothing; `info["reasons"]` says why.
    Reward       as the CoveredCallEnv has it: USD over holding the coins, unless it was made with another.
    Episode      `terminated` only for ruin (an account worth nothing), `truncated` after the last step and at the end
                 of the data.
    Returns      USD over holding, ten seeds, 90 steps of 24 hours (`python -m backtest.environment.data_sheet`): doing
                 nothing 0; at random 371 on average (-1165 to 1776); the rule-based policy 231 (-675 to 773).
    Start        `reset(seed=S)`: the market of seed S. `reset()` after that: one drawn from S, another each time.
                 `options={"market_seed": S}`: the market of seed S, without a change to what is drawn later.
    Rendering    `ansi`: the account in words. `rgb_array`: its worth over holding since the start of the episode.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 - as gymnasium has it

    def __init__(self, env: CoveredCallEnv | None = None, render_mode: str | None = None) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is ansi or rgb_array, not {render_mode}")
        self.covered_calls = CoveredCallEnv() if env is None else env
        self.covered_calls.lists_choices = False  # the mask is made of the same verdicts, on the actions by number
        self.render_mode = render_mode
        lows, highs = (np.array(bounds, np.float32) for bounds in zip(*(c[2:] for c in columns()), strict=True))
        self.observation_space = gymnasium.spaces.Box(lows, highs, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(ACTION_COUNT)
        self._state: AgentState | None = None
        self._actions: tuple[ProposedAction | None, ...] = ()  # of the state, by their numbers
        self._mask: NDArray[np.int8] = np.zeros(ACTION_COUNT, dtype=np.int8)
        self._start: Worth | None = None
        self._excess_usd: list[float] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode. Raises ValueError for an option it does not know."""
        super().reset(seed=seed)
        asked = dict(options or {})
        market_seed = asked.pop("market_seed", seed)
        if asked:
            raise ValueError(f"unknown option {next(iter(asked))}: there is market_seed")
        if market_seed is None:
            market_seed = int(self.np_random.integers(SEEDS))
        state = self.covered_calls.reset(market_seed)
        self._look_at(state)
        self._start = start = worth_of(state)
        self._excess_usd = [0.0]
        return observe(state, start), {"action_mask": self.action_masks(), "market_seed": market_seed}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Carry out an action. Raises TypeError for what is none, RuntimeError where no episode is on."""
        if not self.action_space.contains(action):
            raise TypeError(f"an action is a whole number from 0 to {ACTION_COUNT - 1}, not {action!r}")
        _, start = self._episode()
        chosen = self._actions[int(action)]
        state, reward, _, info = self.covered_calls.step(NOTHING if chosen is None else chosen)
        if chosen is None:
            info |= {"allowed": False, "reasons": (f"symbol_not_in_state: there is nothing for action {action}",)}
        self._look_at(state)
        now = worth_of(state)
        self._excess_usd.append(now.value_usd - now.value_usd_of(start.equity_coin))
        ended_by = info["ended_by"]
        info["action_mask"] = self.action_masks()
        return observe(state, start), reward, ended_by == "ruin", ended_by in ("steps", "data"), info

    def action_masks(self) -> NDArray[np.int8]:
        """1 for each action that the risk engine allows now."""
        self._episode()
        return self._mask.copy()

    def render(self) -> Any:
        """Text (ansi), a picture (rgb_array), or None without a render mode."""
        if self.render_mode is None:
            return None
        state, _ = self._episode()
        if self.render_mode == "rgb_array":
            return picture_of(self._excess_usd)
        held = [f"{call.size:g} {call.symbol}" for call in state.portfolio.positions if call.is_short_call]
        sold = ", ".join(held) or "no call"
        return f"{state.timestamp:%Y-%m-%d %H:%M} UTC  {self._excess_usd[-1]:+.2f} USD over holding  sold: {sold}\n"

    def _look_at(self, state: AgentState) -> None:
        config = self.covered_calls.config
        self._state, self._actions = state, actions_of(state, config)
        self._mask = mask_of(self._actions, state, config)

    def _episode(self) -> tuple[AgentState, Worth]:
        if self._state is None or self._start is None:
            raise RuntimeError("call reset() first")
        return self._state, self._start
