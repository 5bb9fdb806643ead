"""Actions by number: nothing; and for each coin sell candidate 1 to 5, buy back, roll to candidate 1 to 5.

In: a number, a state, settings. Out: the ProposedAction it stands for, and which numbers the risk engine allows now.
Candidates are counted in the order of the state, the best paid first. Sizes are order_size for a sale; a buy-back or a
roll is about the call that expires first, whole, but no more than max_order_size. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from config import AgentConfig
from core.candidates import MAX_CANDIDATES
from models import (
    UNDERLYINGS,
    ActionType,
    AgentState,
    OptionPosition,
    ProposedAction,
    Underlying,
)
from risk_engine import are_allowed

ACTIONS_A_COIN = 2 * MAX_CANDIDATES + 1
KEPT = 1_024
ACTION_COUNT = 1 + ACTIONS_A_COIN * len(UNDERLYINGS)
NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="action 0")


def actions_of(state: AgentState, config: AgentConfig) -> tuple[ProposedAction | None, ...]:
    """What each number stands for; None where there is no such candidate or no call to buy back."""
    return NOTHING, *(action for coin in UNDERLYINGS for action in _actions_of_coin(coin, state, config))


def action_of(number: int, state: AgentState, config: AgentConfig) -> ProposedAction | None:
    """What one number stands for."""
    return actions_of(state, config)[number]


def call_in_question(state: AgentState, coin: Underlying) -> OptionPosition | None:
    """The sold call that expires first."""
    return min(state.short_calls(coin), key=lambda call: call.expiry, default=None)


def action_mask(state: AgentState, config: AgentConfig) -> NDArray[np.int8]:
    """1 for each number whose action the risk engine allows in this state; doing nothing always is."""
    return mask_of(actions_of(state, config), state, config)


def mask_of(actions: Sequence[ProposedAction | None], state: AgentState, config: AgentConfig) -> NDArray[np.int8]:
    """The same of the actions of a state that somebody has at hand."""
    there_are = {number: action for number, action in enumerate(actions) if action is not None}
    mask = np.zeros(ACTION_COUNT, dtype=np.int8)
    mask[list(there_are)] = are_allowed(state, list(there_are.values()), config)
    return mask


def _actions_of_coin(coin: Underlying, state: AgentState, config: AgentConfig) -> Iterator[ProposedAction | None]:
    calls, held = state.candidates_for(coin), call_in_question(state, coin)
    there_are = range(min(len(calls), MAX_CANDIDATES))
    missing = [None] * (MAX_CANDIDATES - len(there_are))
    size = config.strategy(coin).order_size
    yield from (_sale(coin, calls[which].symbol, size, which) for which in there_are)
    yield from missing
    if held is None:
        yield from [None] * (1 + MAX_CANDIDATES)
        return
    size = min(held.size, config.strategy(coin).max_order_size)
    yield _close(coin, held.symbol, size)
    yield from (_roll(coin, held.symbol, calls[which].symbol, size, which) for which in there_are)
    yield from missing


# The candidates of a state are mostly those of the one before: what they stand for is kept.


@lru_cache(maxsize=KEPT)
def _sale(coin: Underlying, symbol: str, size: float, which: int) -> ProposedAction:
    return ProposedAction(
        type=ActionType.OPEN_COVERED_CALL, underlying=coin, symbol=symbol, size=size, reason=f"candidate {which + 1}"
    )


@lru_cache(maxsize=KEPT)
def _close(coin: Underlying, symbol: str, size: float) -> ProposedAction:
    return ProposedAction(type=ActionType.CLOSE_COVERED_CALL, underlying=coin, symbol=symbol, size=size, reason="close")


@lru_cache(maxsize=KEPT)
def _roll(coin: Underlying, symbol: str, new_symbol: str, size: float, which: int) -> ProposedAction:
    return ProposedAction(
        type=ActionType.ROLL_COVERED_CALL,
        underlying=coin,
        symbol=symbol,
        new_symbol=new_symbol,
        size=size,
        reason=f"roll to candidate {which + 1}",
    )
