"""Rows B42 to B53: what a policy, which is a file anybody may edit, can return, and the reason it is answered with.

In: nothing. Out: `CASES`. Policies run in the whole agent at a desk, where the paper exchange would see any order.
Sizes in coin.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from agent_loop import run_iteration
from config import AgentConfig
from models import ActionType, AgentState, ProposedAction
from policy_rule_based import decide_action
from tests.builders.agent import ScriptedDesk, agent_at, scripted_desk, simulated_desk
from tests.builders.paper import CALL
from tests.builders.wire import Fault, answer_lost
from tests.campaign.bad_input.cases import Case, Check, no_order_problems, opens_first, policy_case

NOT_AN_ACTION = "policy_output_not_an_action"
POLICY_ERROR = "policy_error"
GONE = "BTC-2JAN26-90000-C"  # expired before the simulated market begins


# --- actions made from the state ------------------------------------------------------------------------


def a_call(state: AgentState) -> str:
    """The best call on BTC; one that is listed at the quick desk, where nothing passes the filters."""
    return next((call.symbol for call in state.candidates if call.underlying == "BTC"), CALL)


def an_action(kind: ActionType, **fields: Any) -> ProposedAction:
    return ProposedAction(**{"type": kind, "underlying": "BTC", "size": 0.1, "reason": "a test says so", **fields})


def opening_with(**fields: object) -> Callable[[AgentState, AgentConfig], object]:
    """The sale of the best call as a dict, with these fields changed."""

    def policy(state: AgentState, settings: AgentConfig) -> object:
        good = an_action(ActionType.OPEN_COVERED_CALL, symbol=a_call(state))
        return {**good.model_dump(), **fields}

    return policy


def smuggled(**fields: object) -> Callable[[AgentState, AgentConfig], object]:
    """The same as an action whose checks were passed by."""

    def policy(state: AgentState, settings: AgentConfig) -> object:
        good = an_action(ActionType.OPEN_COVERED_CALL, symbol=a_call(state))
        return good.model_copy(update=fields)

    return policy


def sells(symbol: str, **fields: Any) -> Callable[[AgentState, AgentConfig], object]:
    return lambda state, settings: an_action(ActionType.OPEN_COVERED_CALL, symbol=symbol, **fields)


def once_short(make: Callable[[AgentState, str, float], object]) -> Callable[[AgentState, AgentConfig], object]:
    """Sells a call first; then `make` is given the state, the call's symbol and its size."""

    def then(state: AgentState, settings: AgentConfig) -> object:
        held = next(held for held in state.portfolio.positions if held.is_short_call)
        return make(state, held.symbol, held.size)

    return opens_first(then)


def closes(symbol: str, size: float) -> ProposedAction:
    return an_action(ActionType.CLOSE_COVERED_CALL, symbol=symbol, size=size, underlying=symbol[:3])


def rolls(symbol: str, new_symbol: str, size: float) -> ProposedAction:
    return an_action(
        ActionType.ROLL_COVERED_CALL, symbol=symbol, new_symbol=new_symbol, size=size, underlying=symbol[:3]
    )


def as_type(action: ProposedAction, kind: ActionType) -> ProposedAction:
    return action.model_copy(update={"type": kind})


def later_call(state: AgentState, symbol: str) -> str:
    """A candidate of the same coin that expires no earlier than the call held."""
    held = next(held for held in state.portfolio.positions if held.symbol == symbol)
    calls = [call for call in state.candidates if call.underlying == held.underlying and call.symbol != symbol]
    return max(calls, key=lambda call: call.expiry).symbol


def rolls_back(state: AgentState, settings: AgentConfig) -> object:
    """Sells the call that expires last, then rolls it to the one that expires first."""
    held = next((held for held in state.portfolio.positions if held.is_short_call), None)
    if held is None:
        call = max(state.candidates, key=lambda candidate: candidate.expiry)
        size = call.min_trade_amount_coin
        return an_action(ActionType.OPEN_COVERED_CALL, symbol=call.symbol, underlying=call.underlying, size=size)
    calls = [call for call in state.candidates if call.underlying == held.underlying]
    return rolls(held.symbol, min(calls, key=lambda call: call.expiry).symbol, held.size)


# --- B42 to B46 -------------------------------------------------------------------------------------------


def returns(value: object) -> Callable[[AgentState, AgentConfig], object]:
    return lambda state, settings: value


form_case = partial(policy_case, desk=scripted_desk)  # a desk without candidates, which is quick
NOT_ACTIONS: tuple[object, ...] = (None, [], "OPEN_COVERED_CALL", ())
FORMS = [
    *(form_case("B42", repr(value), returns(value), NOT_AN_ACTION) for value in NOT_ACTIONS),
    form_case("B43", "lower case", opening_with(type="open_covered_call"), "unknown_action"),
    form_case("B43", "of another strategy", opening_with(type="SELL_PUT"), "unknown_action"),
    form_case("B43", "an extra key", opening_with(urgency=3), "unknown_field"),
    form_case("B43", "an extra key behind the checks", smuggled(urgency=3), "unknown_field"),
    form_case("B43", "no type", returns({"reason": "x"}), "unknown_action"),
    policy_case("B44", "OPEN without symbol", opening_with(symbol=None), "missing_symbol"),
    policy_case(
        "B44",
        "ROLL with one",
        once_short(lambda _, held, size: as_type(closes(held, size), ActionType.ROLL_COVERED_CALL)),
        "missing_symbol",
        iterations=2,
    ),
    policy_case(
        "B44",
        "CLOSE with two",
        once_short(lambda _, held, size: as_type(rolls(held, held, size), ActionType.CLOSE_COVERED_CALL)),
        "missing_symbol",
        iterations=2,
    ),
    *(
        form_case("B45", repr(size), opening_with(size=size), "bad_size")
        for size in (-0.1, float("nan"), float("inf"), True, "0.1", 1e9, 10**400)
    ),
    *(
        policy_case("B45", f"{size} of a call that may be sold", opening_with(size=size), "bad_size")
        for size in (0, 0.15)
    ),
    *(
        form_case("B45", f"{size!r} behind the checks", smuggled(size=size), "bad_size")
        for size in (float("nan"), -1.0, "1")
    ),
    policy_case("B46", "no candidate", sells("BTC-30JAN26-999000-C"), "symbol_not_in_state"),
]


# --- B47 to B53 -------------------------------------------------------------------------------------------


def mutates(state: AgentState, settings: AgentConfig) -> object:
    state.risks[0].coins_held = 1e6  # type: ignore[misc]
    return decide_action(state, settings)


def recurses(state: AgentState, settings: AgentConfig) -> object:
    return recurses(state, settings)


def raises(state: AgentState, settings: AgentConfig) -> object:
    raise TypeError("\x1b[31mmade up\x00")


def leaves(state: AgentState, settings: AgentConfig) -> object:
    sys.exit(0)


def prints_much(state: AgentState, settings: AgentConfig) -> object:
    with redirect_stdout(io.StringIO()):
        for _ in range(200):
            print("x" * 50_000)
    return None


def sleeps(state: AgentState, settings: AgentConfig) -> object:
    time.sleep(600.0)
    return None


def _impatient_desk(folder: Path) -> ScriptedDesk:
    """Where the watchdog barks after a moment instead of half a minute."""
    return scripted_desk(folder, run={"policy_seconds": 0.05})


def sells_again_at_once(*faults: Fault) -> Check:
    """Two iterations without a rest: what became of the first sale is not in the positions yet."""

    def problems(folder: Path) -> list[str]:
        desk = simulated_desk(folder)
        desk.wire.disturb("private/sell", *faults)
        agent = agent_at(desk, opening_with())  # type: ignore[arg-type]
        first, second = run_iteration(agent), run_iteration(agent)
        found = [] if first.executed_action.legs else ["the first sale never left"]
        return found + no_order_problems(second, ["intent_pending"])

    return problems


held_case = partial(policy_case, iterations=2)
JUDGED = [
    policy_case("B47", "a put", sells("BTC-30JAN26-80000-P"), "not_an_allowed_call"),
    policy_case("B47", "of the other coin", opening_with(underlying="ETH"), "not_an_allowed_call", desk=simulated_desk),
    policy_case("B47", "expired", sells(GONE), "not_an_allowed_call"),
    policy_case("B47", "a perpetual", sells("BTC-PERPETUAL"), "not_an_allowed_call"),
    policy_case("B48", "not held", lambda state, _: closes(a_call(state), 0.1), "nothing_to_close"),
    held_case("B48", "more than held", once_short(lambda _, held, size: closes(held, 2 * size)), "nothing_to_close"),
    held_case("B49", "to itself", once_short(lambda _, held, size: rolls(held, held, size)), "bad_roll"),
    held_case("B49", "to an earlier expiry", rolls_back, "bad_roll"),
    held_case(
        "B49",
        "to more",
        once_short(lambda state, held, size: rolls(held, later_call(state, held), 2 * size)),
        "bad_roll",
    ),
    Case("B50", "a fill that is too fresh", sells_again_at_once()),
    Case("B50", "an answer that was lost", sells_again_at_once(answer_lost())),
    policy_case("B51", "a field of the state", mutates, POLICY_ERROR),
    form_case("B52", "raises", raises, POLICY_ERROR),
    form_case("B52", "recurses", recurses, POLICY_ERROR),
    form_case("B52", "ends the process", leaves, POLICY_ERROR),
    form_case("B52", "prints 10 MB", prints_much, NOT_AN_ACTION),
    policy_case("B52", "sleeps ten minutes", sleeps, POLICY_ERROR, desk=_impatient_desk),
    form_case("B53", "a price", opening_with(price=0.01), "unknown_field"),
]

CASES: tuple[Case, ...] = (*FORMS, *JUDGED)
