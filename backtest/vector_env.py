"""CoveredCallVectorEnv: thousands of accounts at once on a bank of market paths, with numpy alone.

The one deliberate second implementation of rules that stand elsewhere. tests/backtest/vector/test_ledgers.py holds its
ledgers, masks, rewards and observations equal to the engine's: `python -m tests.backtest.vector` on 1,000 episodes.
In: settings, seeds, actions by number. Out: observations, rewards, ends, masks, as gymnasium.vector has them. Reads and
writes the bank's file in data/. Needs gymnasium (backtest/requirements.txt).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from backtest.environment.actions import ACTION_COUNT, ACTIONS_A_COIN
from backtest.environment.observation import columns
from backtest.environment.rewards import RewardKind
from backtest.vector.accounts import Accounts
from backtest.vector.figures import Figures, figures_of
from backtest.vector.mask import Limits, allowed_actions
from backtest.vector.observing import Observer
from backtest.vector.orders import carry_out
from backtest.vector.store import bank_of
from config import AgentConfig, load_config
from core.columns import Bools, Floats, Integers
from models import UNDERLYINGS
from paper_exchange.market.market import MIN_TRADE_AMOUNT

PATHS = 64
LEAST_STEP_HOURS = (
    4.0  # up to here the engine may keep an hourly series for another step, which depends on its requests
)

Observations = NDArray[np.float32]
Stepped = tuple[Observations, Floats, Bools, Bools, dict[str, Any]]


class CoveredCallVectorEnv(VectorEnv[Observations, Integers, NDArray[Any]]):
    """Selling covered calls on BTC and ETH by number, thousands of accounts in step.

    Data sheet
    ----------
    Observation  `num_envs` lines of what CoveredCallGymEnv shows of one account.
    Action       `num_envs` numbers of CoveredCallGymEnv. One that is masked out does nothing.
    Mask         `action_masks()` and `info["action_mask"]`: `num_envs` lines of 23, True where the risk engine would
                 allow the action.
    Reward       `excess` (default): USD over holding the coins. `usd`, `coin`: as CoveredCallEnv has them.
    Episode      `steps` decisions `step_hours` apart (more than 4), then truncated; terminated only for ruin. The step
                 after the last one begins the next episode, whatever the action (autoreset mode NEXT_STEP).
    Market       simulated, of `market_seeds` (default 1 to 64); each episode draws one of them. The first use of a
                 set of settings works the paths out with the engine and keeps them in data/vector.
    Start        `reset(seed=S)` begins the draw of markets anew; `options={"market_seeds": [...]}` names the first
                 market of each account instead.
    Fills        touch: sell at the bid, buy at the ask, at once, as far as the sizes shown reach.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - as gymnasium has it

    def __init__(
        self,
        num_envs: int,
        config: AgentConfig | None = None,
        market_seeds: Sequence[int] = range(1, PATHS + 1),
        steps: int = 90,
        step_hours: float = 24.0,
        reward_kind: RewardKind = "excess",
        folder: Path | None = None,
    ) -> None:
        if num_envs < 1 or steps < 1 or len(market_seeds) == 0:
            raise ValueError("num_envs and steps must be 1 or more, and there must be a market seed")
        if not step_hours > LEAST_STEP_HOURS:
            raise ValueError(f"step_hours must be above {LEAST_STEP_HOURS:g}, not {step_hours:g}")
        if reward_kind not in ("coin", "usd", "excess"):
            raise ValueError(f"reward_kind is coin, usd or excess, not {reward_kind}")
        config = load_config(env_file=None) if config is None else config
        self.config = config.model_copy(update={"run": config.run.model_copy(update={"fills": "touch"})})
        coins = self.config.enabled_underlyings
        if len(coins) == 0:
            raise ValueError("no coin is traded: BTC_ENABLED and ETH_ENABLED are both false")
        self.num_envs, self.steps, self.reward_kind = num_envs, steps, reward_kind
        self.bank = bank_of(self.config, tuple(market_seeds), steps, step_hours, folder)
        self._make_spaces()
        run = self.config.run
        start_coin = [run.paper_btc_coin if coin == "BTC" else run.paper_eth_coin for coin in coins]
        steps_per_coin = [round(1.0 / MIN_TRADE_AMOUNT[coin]) for coin in coins]
        self.accounts = Accounts(self.bank, num_envs, start_coin, steps_per_coin)
        self._limits, self._observer = Limits.of(self.config, coins, num_envs), Observer(coins)
        self._place_of_coin = np.array([coins.index(coin) if coin in coins else -1 for coin in UNDERLYINGS])
        self._figures: Figures | None = None
        self._mask = np.zeros((num_envs, ACTION_COUNT), dtype=np.bool_)
        self._first_action = ACTION_COUNT * np.arange(num_envs)  # where an account's line of the mask begins
        self._is_over = np.zeros(num_envs, dtype=np.bool_)

    def _make_spaces(self) -> None:
        lows, highs = (np.array(bounds, np.float32) for bounds in zip(*(c[2:] for c in columns()), strict=True))
        self.single_observation_space = Box(lows, highs, dtype=np.float32)
        self.single_action_space = Discrete(ACTION_COUNT)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start an episode in every account. Raises ValueError for an option or a market it does not know."""
        if isinstance(seed, list):
            raise TypeError("one seed draws the markets of all accounts: reset(seed=1), not a list")
        super().reset(seed=seed)
        asked = dict(options or {})
        market_seeds = asked.pop("market_seeds", None)
        if asked:
            raise ValueError(f"unknown option {next(iter(asked))}: there is market_seeds")
        paths = self._drawn_paths(self.num_envs) if market_seeds is None else self._paths_of(market_seeds)
        self._is_over[:] = False
        self.accounts.begin(np.arange(self.num_envs), paths)
        self._figures = now = figures_of(self.accounts, self.config.risk)
        return self._observer.observe(self.accounts, now), self._info(now)

    def step(self, actions: Integers) -> Stepped:
        """Carry out one action an account. Raises TypeError for what is none, RuntimeError before the first reset."""
        before, accounts = self._now(), self.accounts
        chosen = np.where(self._is_allowed(actions) & ~self._is_over, actions, 0)
        carry_out(accounts, chosen, self._place_of_coin, before, self._limits)
        accounts.advance()
        new = np.flatnonzero(self._is_over)
        if len(new) > 0:
            accounts.begin(new, self._drawn_paths(len(new)))
        self._figures = now = figures_of(accounts, self.config.risk)
        rewards = np.where(self._is_over, 0.0, self._rewards(before, now))
        is_ruined = ~(self._by_account(now.equity_coin * now.spot_usd) > 0.0) & ~self._is_over
        is_last = (accounts.step >= self.steps) & ~is_ruined
        self._is_over = is_ruined | is_last
        return self._observer.observe(accounts, now), rewards, is_ruined, is_last, self._info(now)

    def action_masks(self) -> Bools:
        """True for each action that the risk engine would allow now; a line an account."""
        self._now()
        return self._mask.copy()

    def _is_allowed(self, actions: Integers) -> Bools:
        given = np.asarray(actions)
        is_number = given.shape == (self.num_envs,) and np.issubdtype(given.dtype, np.integer)
        if not is_number or given.min() < 0 or given.max() >= ACTION_COUNT:
            raise TypeError(f"actions are {self.num_envs} whole numbers from 0 to {ACTION_COUNT - 1}")
        allowed: Bools = self._mask.ravel().take(self._first_action + given)
        return allowed

    def _rewards(self, before: Figures, now: Figures) -> Floats:
        """As backtest/environment/rewards.py has them."""
        if self.reward_kind == "usd":
            return self._by_account(now.equity_coin * now.spot_usd - before.equity_coin * before.spot_usd)
        if self.reward_kind == "excess":
            start_coin = self.accounts.start_coin
            after_usd = self._by_account((now.equity_coin - start_coin) * now.spot_usd)
            return after_usd - self._by_account((before.equity_coin - start_coin) * before.spot_usd)
        changes_usd = self._by_account((now.equity_coin - before.equity_coin) * now.spot_usd)
        return changes_usd / now.spot_usd[: self.num_envs]

    def _by_account(self, by_ledger: Floats) -> Floats:
        """The sum over an account's coins."""
        total: Floats = by_ledger.reshape(-1, self.num_envs).sum(axis=0)
        return total

    def _info(self, now: Figures) -> dict[str, Any]:
        self._mask = mask = np.zeros((self.num_envs, ACTION_COUNT), dtype=np.bool_)
        mask[:, 0] = True
        lines = allowed_actions(self.accounts, now, self._limits).reshape(ACTIONS_A_COIN, -1, self.num_envs)
        for coin, place in enumerate(self._place_of_coin):
            if place >= 0:
                first = 1 + coin * ACTIONS_A_COIN
                mask[:, first : first + ACTIONS_A_COIN] = lines[:, place].T
        return {"action_mask": mask.copy(), "market_seed": self.bank.seeds[self.accounts.path]}

    def _drawn_paths(self, count: int) -> Integers:
        drawn: Integers = self.np_random.integers(self.bank.paths, size=count)
        return drawn

    def _paths_of(self, market_seeds: Sequence[int]) -> Integers:
        place = {seed: path for path, seed in enumerate(self.bank.seeds.tolist())}
        unknown = [seed for seed in market_seeds if seed not in place]
        if unknown or len(market_seeds) != self.num_envs:
            raise ValueError(
                f"market_seeds are {self.num_envs} of the environment's own, not {unknown or market_seeds}"
            )
        return np.array([place[seed] for seed in market_seeds])

    def _now(self) -> Figures:
        if self._figures is None:
            raise RuntimeError("call reset() first")
        return self._figures
