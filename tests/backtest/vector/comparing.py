"""Plays the same actions on the same markets in the engine and in the vector environment, and names what differs.

In: settings, market seeds, steps, dice. Out: sentences, none where all ledgers, masks, rewards and observations agree.
Actions are drawn among those that the engine allows; every tenth is any number at all. Amounts in coin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.actions import ACTION_COUNT
from backtest.gym_env import CoveredCallGymEnv
from backtest.vector_env import CoveredCallVectorEnv
from core.columns import Integers
from models import AgentState, Underlying
from paper_exchange.market.clocks import HOUR_MS, to_ms
from tests.backtest.vector.cases import Case
from tests.builders.configs import a_config

TOLERANCE_COIN = 1e-9
TOLERANCE_OBSERVATION = 1e-5  # relative: of 32 bits
ANY_ACTION_FRACTION = 0.1


def differences(case: Case, seeds: Sequence[int], steps: int, dice_seed: int, folder: Path) -> Iterator[str]:
    """What is not equal, step by step; an account a seed."""
    sections = {**case.sections, "run": {"fills": "touch", **case.sections.get("run", {})}}
    config = a_config(**sections)
    hours, kind = case.step_hours, case.reward_kind
    vector = CoveredCallVectorEnv(len(seeds), config, seeds, steps, hours, kind, folder)
    engines = [CoveredCallGymEnv(CoveredCallEnv(config, seed, steps, hours, reward_kind=kind)) for seed in seeds]
    dice = np.random.default_rng(dice_seed)
    seen, info = vector.reset(options={"market_seeds": list(seeds)})
    shown = [engine.reset(options={"market_seed": seed}) for engine, seed in zip(engines, seeds, strict=True)]
    masks = np.array([one["action_mask"] for _, one in shown], dtype=np.bool_)
    yield from _unequal("reset", masks, info["action_mask"], np.array([row for row, _ in shown]), seen)
    for step in range(steps):
        actions = _drawn(masks, dice)
        seen, rewards, ruined, over, info = vector.step(actions)
        played = [engine.step(action) for engine, action in zip(engines, actions, strict=True)]
        where = f"step {step + 1}"
        masks = np.array([one[4]["action_mask"] for one in played], dtype=np.bool_)
        yield from _unequal(where, masks, info["action_mask"], np.array([one[0] for one in played]), seen)
        ends = [(float(one[1]), one[2], one[3]) for one in played]
        yield from _unequal_ends(where, ends, list(zip(rewards.tolist(), ruined, over, strict=True)))
        for account, engine in enumerate(engines):
            assert engine._state is not None
            for difference in _unequal_ledgers(engine._state, vector, account):
                yield f"{where}, market {seeds[account]}, {difference}, after {played[account][4]['executed']}"


def _drawn(masks: NDArray[np.bool_], dice: np.random.Generator) -> Integers:
    allowed = [dice.choice(np.flatnonzero(mask)) for mask in masks]
    is_any = dice.random(len(masks)) < ANY_ACTION_FRACTION
    return np.where(is_any, dice.integers(ACTION_COUNT, size=len(masks)), allowed)


def _unequal(
    where: str,
    masks: NDArray[np.bool_],
    vector_masks: NDArray[np.bool_],
    rows: NDArray[np.float32],
    vector_rows: NDArray[np.float32],
) -> Iterator[str]:
    for account, action in np.argwhere(masks != vector_masks).tolist():
        yield f"{where}, account {account}: action {action} is {masks[account, action]} for the engine alone"
    is_far = ~np.isclose(rows, vector_rows, rtol=TOLERANCE_OBSERVATION, atol=TOLERANCE_OBSERVATION)
    for account, column in np.argwhere(is_far).tolist():
        yield f"{where}, account {account}, column {column}: {rows[account, column]}, {vector_rows[account, column]}"


def _unequal_ends(where: str, engine: Sequence[Any], vector: Sequence[Any]) -> Iterator[str]:
    for account, (one, other) in enumerate(zip(engine, vector, strict=True)):
        is_near = abs(one[0] - other[0]) <= 1e-9 * max(1.0, abs(one[0])) * 100_000.0  # USD, not coin
        if one[1:] != other[1:] or not is_near:
            yield f"{where}, account {account}: reward and ends are {one}, {other}"


def _unequal_ledgers(state: AgentState, vector: CoveredCallVectorEnv, account: int) -> Iterator[str]:
    for place, coin in enumerate(vector.config.enabled_underlyings):
        ledger = place * vector.num_envs + account
        ours, theirs = _of_engine(state, coin), _of_vector(vector, ledger)
        if len(ours) != len(theirs) or not np.allclose(ours, theirs, rtol=0.0, atol=TOLERANCE_COIN):
            yield f"{coin}: {ours}, {theirs}"


def _of_engine(state: AgentState, coin: Underlying) -> list[float]:
    """Balance, equity, margin, and of each call expiry, amount and average price; coin."""
    account = state.account(coin)
    assert account is not None
    calls = [(to_ms(c.expiry) // HOUR_MS, c.size, c.avg_price) for c in state.short_calls(coin)]
    flat = [figure for call in sorted(calls) for figure in call]
    return [account.balance_coin, account.equity_coin, account.initial_margin_coin, *flat]


def _of_vector(vector: CoveredCallVectorEnv, ledger: int) -> list[float]:
    now, accounts = vector._figures, vector.accounts
    assert now is not None
    held = [position for position in accounts.held() if position % accounts.ledgers == ledger]
    rows = accounts.base[held] + accounts.step[ledger % accounts.count]
    columns = (vector.bank.expiry[rows], accounts.size[held], accounts.average_price_coin[held])
    flat = [figure for call in sorted(zip(*columns, strict=True)) for figure in call]
    return [now.balance_coin[ledger], now.equity_coin[ledger], now.margin_coin[ledger], *flat]
