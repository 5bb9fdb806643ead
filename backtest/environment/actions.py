"""Actions by number: nothing; and for each coin sell candidate 1 to 5, buy back, roll to candidate 1 to 5.

In: a number, a state, settings. Out: the ProposedAction it stands for, and which numbers the risk engine allows now.
Candidates are counted in the order of the state, the best paid first. Sizes are order_size for a sale; a buy-back or a
roll is about the call that expires first, whole, but no more than max_order_size. Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config import AgentConfig
from core.candidates import MAX_CANDIDATES
from models import UNDERLYINGS, ActionType, AgentState, OptionPosition, ProposedAction, Underlying
from risk_engine import judge_action

ACTIONS_A_COIN = 2 * MAX_CANDIDATES + 1
ACTION_COUNT = 1 + ACTIONS_A_COIN * len(UNDERLYINGS)
NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="action 0")


def action_of(number: int, state: AgentState, config: AgentConfig) -> ProposedAction | None:
    """What a number stands for; None where there is no such candidate or no call to buy back."""
    if number == 0:
        return NOTHING
    place, which = divmod(number - 1, ACTIONS_A_COIN)
    coin = UNDERLYINGS[place]
    if which < MAX_CANDIDATES:
        return _sale(coin, which, state, config)
    held = call_in_question(state, coin)
    if held is None:
        return None
    return _buy_back(held, which - MAX_CANDIDATES, state, config)


def call_in_question(state: AgentState, coin: Underlying) -> OptionPosition | None:
    """The sold call that expires first."""
    return min(state.short_calls(coin), key=lambda call: call.expiry, default=None)


def action_mask(state: AgentState, config: AgentConfig) -> NDArray[np.int8]:
    """1 for each number whose action the risk engine allows in this state; doing nothing always is."""
    return np.array([_is_allowed(number, state, config) for number in range(ACTION_COUNT)], dtype=np.int8)


def _is_allowed(number: int, state: AgentState, config: AgentConfig) -> bool:
    action = action_of(number, state, config)
    return action is not None and judge_action(state, action, config).allowed


def _sale(coin: Underlying, which: int, state: AgentState, config: AgentConfig) -> ProposedAction | None:
    calls = state.candidates_for(coin)
    if which >= len(calls):
        return None
    return ProposedAction(
        type=ActionType.OPEN_COVERED_CALL,
        underlying=coin,
        symbol=calls[which].symbol,
        size=config.strategy(coin).order_size,
        reason=f"candidate {which + 1}",
    )


def _buy_back(held: OptionPosition, which: int, state: AgentState, config: AgentConfig) -> ProposedAction | None:
    """Number 0 closes; the others roll to that candidate."""
    calls = state.candidates_for(held.underlying)
    if which > len(calls):
        return None
    return ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL if which == 0 else ActionType.ROLL_COVERED_CALL,
        underlying=held.underlying,
        symbol=held.symbol,
        new_symbol=None if which == 0 else calls[which - 1].symbol,
        size=min(held.size, config.strategy(held.underlying).max_order_size),
        reason="close" if which == 0 else f"roll to candidate {which}",
    )
