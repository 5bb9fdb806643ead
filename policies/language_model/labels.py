"""The actions a model may choose from, each under one letter: there is no symbol and no size for it to make up.

In: a state, settings. Out: LabelledActions, doing nothing first, with the action each letter stands for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from config import AgentConfig
from models import ActionType, AgentState, OptionPosition, ProposedAction, Underlying

MOST_ACTIONS = len(ascii_uppercase)
NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="nothing")


@dataclass(frozen=True)
class LabelledAction:
    """One letter, and what is done where it is chosen."""

    label: str
    action: ProposedAction


def labelled_actions(state: AgentState, config: AgentConfig) -> tuple[LabelledAction, ...]:
    """Every action that the risk engine allows, as far as the alphabet goes."""
    actions = [NOTHING, *allowed_actions(state, config)][:MOST_ACTIONS]
    return tuple(LabelledAction(label, action) for label, action in zip(ascii_uppercase, actions, strict=False))


def allowed_actions(state: AgentState, config: AgentConfig) -> Sequence[ProposedAction]:
    """What may be done beside doing nothing."""
    coins = config.enabled_underlyings
    found = [action for coin in coins for action in _of_coin(state, coin, config)]
    return [action for action in found if not state.refuses(action)]


def _of_coin(state: AgentState, coin: Underlying, config: AgentConfig) -> Iterator[ProposedAction]:
    strategy, risk = config.strategy(coin), state.risk(coin)
    if risk is not None and risk.room_coin >= strategy.order_size:
        for call in state.candidates_for(coin):
            yield _action(ActionType.OPEN_COVERED_CALL, coin, call.symbol, strategy.order_size)
    for held in state.short_calls(coin):
        yield from _of_held_call(state, held, min(held.size, strategy.max_order_size))


def _of_held_call(state: AgentState, held: OptionPosition, size: float) -> Iterator[ProposedAction]:
    coin = held.underlying
    yield _action(ActionType.CLOSE_COVERED_CALL, coin, held.symbol, size)
    for call in state.candidates_for(coin):
        if call.symbol != held.symbol and call.expiry >= held.expiry:
            yield _action(ActionType.ROLL_COVERED_CALL, coin, held.symbol, size, call.symbol)


def _action(
    kind: ActionType, coin: Underlying, symbol: str, size: float, new_symbol: str | None = None
) -> ProposedAction:
    return ProposedAction(type=kind, underlying=coin, symbol=symbol, new_symbol=new_symbol, size=size, reason="?")
