"""Whether an action is one at all: a coin, the symbols it needs, a size, a call to sell, a position to buy back. Pure.

In: an action, what it is about in a state, settings. Out: reasons why the risk engine's rules cannot even be asked.
Sizes in coin.
"""

from __future__ import annotations

from datetime import datetime

from config import AgentConfig
from deribit.symbols import parse_symbol
from models import ROUNDING, Action, ActionType, CandidateOption, OptionPosition, Reason, Underlying

SELLS = (ActionType.OPEN_COVERED_CALL, ActionType.ROLL_COVERED_CALL)
BUYS = (ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL)


def symbol_to_sell(action: Action) -> str | None:
    """A roll sells another call than the one it names first."""
    if action.type not in SELLS:
        return None
    return action.new_symbol if action.type == ActionType.ROLL_COVERED_CALL else action.symbol


def symbol_to_buy(action: Action) -> str | None:
    return action.symbol if action.type in BUYS else None


def form_problems(
    action: Action, sold: CandidateOption | None, bought_back: OptionPosition | None, now: datetime, config: AgentConfig
) -> list[Reason]:
    """What makes the rules of the risk engine impossible to apply.

    `sold` and `bought_back`: what the action's symbols stand for in the state of `now`, None if nothing.
    """
    if action.underlying is None:
        return [Reason(rule="missing_underlying", text="the action names no coin")]
    found = []
    if not config.strategy(action.underlying).enabled:
        found.append(Reason(rule="disabled", text=f"{action.underlying}_ENABLED is false"))
    if action.symbol is None or (action.type == ActionType.ROLL_COVERED_CALL) != (action.new_symbol is not None):
        return [*found, Reason(rule="missing_symbol", text=f"{action.type} needs {_symbols_needed(action.type)}")]
    if not action.size > 0.0:
        found.append(Reason(rule="bad_size", text=f"size {action.size:g} must be above 0"))
    if action.type in SELLS:
        found += _sold_problems(sold, action, now)
    if action.type in BUYS:
        found += _bought_problems(bought_back, action)
    return found


def _symbols_needed(kind: ActionType) -> str:
    return "symbol and new_symbol" if kind == ActionType.ROLL_COVERED_CALL else "symbol, and no new_symbol"


def _sold_problems(call: CandidateOption | None, action: Action, now: datetime) -> list[Reason]:
    if call is not None and call.underlying == action.underlying:
        return []
    symbol = symbol_to_sell(action)
    if call is not None:
        return [Reason(rule="not_an_allowed_call", text=f"{symbol} is not a {action.underlying} option")]
    if symbol and not _could_be_a_call(symbol, action.underlying, now):
        text = f"{symbol} is not a call on {action.underlying} that has not expired"
        return [Reason(rule="not_an_allowed_call", text=text)]
    return [Reason(rule="symbol_not_in_state", text=f"{symbol} is not among this iteration's candidates")]


def _could_be_a_call(symbol: str, underlying: Underlying | None, now: datetime) -> bool:
    """By its name alone, as the instrument is not known; a date that does not exist counts as not expired."""
    parts = parse_symbol(symbol.strip().upper())
    is_over = parts.expiry is not None and parts.expiry <= now
    return parts.underlying == underlying and parts.is_call and not is_over


def _bought_problems(held: OptionPosition | None, action: Action) -> list[Reason]:
    if held is None or not held.is_short_call or held.underlying != action.underlying:
        text = f"no short {action.underlying} call {action.symbol} is held"
        return [Reason(rule="nothing_to_close", text=text)]
    if action.size > held.size + ROUNDING:
        rule = "bad_roll" if action.type == ActionType.ROLL_COVERED_CALL else "nothing_to_close"
        return [Reason(rule=rule, text=f"size {action.size:g} is above the {held.size:g} held")]
    return []
