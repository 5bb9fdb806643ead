"""The policies of the campaign: any with the faults that a user's file may have, and an eager one.

In: a state and settings, as any policy. Out: a ProposedAction, or nonsense where the schedule wants it. The eager
policy opens, rolls and closes at random, with sizes up to and above the room there is, so that what protects is the
risk engine and the execution. Draws follow from seed and time of the state.
"""

from __future__ import annotations

import decimal
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from config import AgentConfig
from models import ActionType, AgentState, ProposedAction, Underlying

Decide = Callable[[AgentState, AgentConfig], Any]
LEFT_RUNNING_SECONDS = 0.2
SIZE_SHARES = (0.1, 0.3, 0.5, 1.0, 1.0, 1.3, 2.0)


def eager_action(state: AgentState, config: AgentConfig, seed: str) -> ProposedAction:
    """Something to do, whether it makes sense or not."""
    dice = random.Random(f"{seed}:{state.timestamp.isoformat()}")
    coin = dice.choice(config.enabled_underlyings)
    kind = dice.choices(("open", "close", "roll", "nothing"), (5, 2, 3, 1))[0]
    held = state.short_calls(coin)
    offered = state.candidates_for(coin)
    if kind == "open" and offered:
        risk = state.risk(coin)
        room = 0.0 if risk is None else max(risk.room_coin, 0.1 * risk.coins_held)
        return _action(ActionType.OPEN_COVERED_CALL, coin, dice.choice(offered).symbol, None, _size(dice, room, coin))
    if kind == "close" and held:
        call = dice.choice(held)
        return _action(ActionType.CLOSE_COVERED_CALL, coin, call.symbol, None, _size(dice, call.size, coin))
    if kind == "roll" and held and offered:
        call = dice.choice(held)
        target = dice.choice(offered).symbol
        return _action(ActionType.ROLL_COVERED_CALL, coin, call.symbol, target, _size(dice, call.size, coin))
    return ProposedAction(type=ActionType.DO_NOTHING, reason="eager: nothing this time")


def _size(dice: random.Random, base: float, coin: str) -> float:
    """A share of what there is, mostly in whole steps."""
    step = 0.1 if coin == "BTC" else 1.0
    wanted = base * dice.choice(SIZE_SHARES)
    if dice.random() < 0.05:
        return round(wanted, 4)
    return round(max(1, round(wanted / step)) * step, 8)


def _action(kind: ActionType, coin: Underlying, symbol: str, new_symbol: str | None, size: float) -> ProposedAction:
    return ProposedAction(
        type=kind, underlying=coin, symbol=symbol, new_symbol=new_symbol, size=size, reason="eager: drawn at random"
    )


@dataclass
class CampaignPolicy:
    """Stands where the user's policy stands. `fault` is the row to be met at the next question, with its form."""

    decide: Decide
    on_decided: Callable[[str], None]
    fault: tuple[str, int] | None = None
    met: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.__module__ = self.decide.__module__  # by which the model's own policy is known, which alone gets its key

    def __call__(self, state: AgentState, config: AgentConfig) -> Any:
        if self.fault is not None:
            (row, form), self.fault = self.fault, None
            self.met.append(row)
            if row != "P12":
                return _misbehave(row, form, state)
            _leave_traces(form)
        action = self.decide(state, config)
        self.on_decided(str(action.type))
        return action


class _WordlessError(Exception):
    def __str__(self) -> str:
        raise SystemExit("an error that cannot be told")


def _leave_traces(form: int) -> None:
    """What a policy may change for the whole process, or raise, beside its answer."""
    kind = form % 7
    if kind == 2:
        decimal.setcontext(decimal.Context(prec=1))
    elif kind == 3:
        raise _WordlessError
    elif kind == 4:
        random.seed(0)
    elif kind == 5:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    elif kind == 6:
        threading.Thread(target=threading.Event().wait, args=(LEFT_RUNNING_SECONDS,), daemon=True).start()
    else:
        decimal.getcontext().prec = 1 + kind


def _misbehave(row: str, form: int, state: AgentState) -> Any:
    """What a broken policy does."""
    if row == "P06":
        raise MemoryError if form % 2 else RecursionError("maximum recursion depth exceeded")
    unknown_kind: Any = {"type": "SELL_ALL", "underlying": "BTC", "size": 1e9, "reason": "x"}
    answers: list[Any] = [
        None,
        [],
        "OPEN_COVERED_CALL",
        {"type": "OPEN_COVERED_CALL"},
        (ActionType.DO_NOTHING,),
        ProposedAction.model_construct(
            type=ActionType.OPEN_COVERED_CALL, underlying="BTC", size=float("nan"), reason="x"
        ),
        ProposedAction.model_construct(**unknown_kind),
    ]
    kind = form % (len(answers) + 3)
    if kind == len(answers):
        raise TypeError("a made up mistake")
    if kind == len(answers) + 1:
        raise SystemExit("a policy that wants out")
    if kind == len(answers) + 2:
        return state.portfolio.positions[0].no_such_field  # type: ignore[attr-defined]
    return answers[kind]
