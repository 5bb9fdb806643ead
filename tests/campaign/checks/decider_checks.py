"""Whoever decides, no more is done than the acting policy chose and the risk engine allows (I31 I32).

In: a View. Out: a line for each breach. Judged from the decision lines, and from what a language model's endpoint
heard. Lines of iterations that were killed are exempt, as there are none. Sizes in coin. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from tests.campaign.checks.joins import EPSILON, View

FORBIDDEN = "forbidden: "  # how the policy that wants it begins its reasons
EXPLORING = "exploring: "
READING = timedelta(minutes=2)  # from the time of a state to the question about it
NOTHING = "DO_NOTHING"


def the_forbidden_is_refused(view: View) -> Iterator[str]:
    """I31: what a policy wants although it is forbidden is allowed neither to it nor to a shadow."""
    for record in view.trace.decisions:
        decided = [(record["proposed_action"], record["allowed"])]
        decided += [(shadow["action"], shadow["check"]["allowed"]) for shadow in record.get("shadows", ())]
        for action, is_allowed in decided:
            if is_allowed and FORBIDDEN in str(action.get("reason")):
                yield f"{_name(record)}: {action['reason']} was allowed"


def only_the_chosen_is_done(view: View) -> Iterator[str]:
    """I31: each order of an iteration is a leg of the action in its line, of no larger size, and that was allowed."""
    for record in view.trace.decisions:
        action = record["proposed_action"]
        for leg in record["executed_action"]["legs"]:
            is_wanted = (leg["direction"], leg["symbol"]) in _legs_of(action)
            if not (is_wanted and record["allowed"] and leg["requested_coin"] <= action["size"] + EPSILON):
                what = f"{leg['direction']} {leg['requested_coin']:g} {leg['symbol']}"
                yield f"{_name(record)}: {what} is no part of {action['type']} {action.get('symbol')}"


def _legs_of(action: Mapping[str, Any]) -> set[tuple[str, str]]:
    symbol, new_symbol = str(action.get("symbol")), str(action.get("new_symbol"))
    match action["type"]:
        case "OPEN_COVERED_CALL":
            return {("sell", symbol)}
        case "CLOSE_COVERED_CALL":
            return {("buy", symbol)}
        case "ROLL_COVERED_CALL":
            return {("buy", symbol), ("sell", new_symbol)}
    return set()


def choices_are_of_the_list(view: View) -> Iterator[str]:
    """I31: what a language model chose, or exploration drew, is a choice of the state with its size; a call to a model
    that came to nothing does nothing."""
    for where, action, state in _decided(view):
        is_drawn, call = str(action["reason"]).startswith(EXPLORING), action.get("model_call")
        if call is not None and not is_drawn and call["outcome"] != "chosen" and action["type"] != NOTHING:
            yield f"{where}: {action['type']} although the model's outcome is {call['outcome']}"
        if (is_drawn or call is not None) and not any(_is_same(choice, action) for choice in state["choices"]):
            yield f"{where}: {action['type']} {action['symbol']} {action['size']:g} is no choice of the state"


def _is_same(choice: Mapping[str, Any], action: Mapping[str, Any]) -> bool:
    return all(choice[name] == action[name] for name in ("type", "symbol", "new_symbol", "size"))


def odds_add_up(view: View) -> Iterator[str]:
    """I31: where odds are logged they add up to 1, and what was done had some."""
    for where, action, _ in _decided(view):
        options = action.get("choices") or ()
        odds = [option["probability"] for option in options]
        if odds and None not in odds and abs(math.fsum(odds) - 1.0) > EPSILON:
            yield f"{where}: the odds add up to {math.fsum(odds)!r}"
        names = ("type", "symbol", "new_symbol")
        if options and not any(all(option[name] == action[name] for name in names) for option in options):
            yield f"{where}: {action['type']} {action['symbol']} is not among what could have been done"


def _decided(view: View) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Every decision on a state, of shadows too: whose, the action, the state."""
    for record in view.trace.decisions:
        state, shadows = record.get("agent_state"), record.get("shadows", ())
        if state is None or "choices" not in state:
            continue
        yield _name(record), record["proposed_action"], state
        for shadow in shadows:
            yield f"{_name(record)}, shadow {shadow['policy']}", shadow["action"], state


def every_shadow_is_asked(view: View) -> Iterator[str]:
    """I31: a line with a state has a decision of every shadow, in their order; of the first few where the run was being
    stopped (and killed before it was), and of none where a fatal answer ended the iteration."""
    wanted = list(view.trace.shadows)
    for (life, iteration), record in view.in_order:
        asked = [shadow["policy"] for shadow in record.get("shadows", ())]
        later = view.records.get((life, iteration + 1), [])  # one without a state: what was booked as the run ended
        was_last = all(line.get("agent_state") is None for line in later)
        was_stopped = view.lives[life].end in ("stop", "crash") and was_last
        is_cut = was_stopped or record.get("error") is not None
        has_state = record.get("agent_state") is not None
        if asked != (wanted if has_state else []) and not (is_cut and asked == wanted[: len(asked)]):
            yield f"{_name(record)}: asked {', '.join(asked) or 'nobody'} of {', '.join(wanted)}"


def few_questions_a_day(view: View) -> Iterator[str]:
    """I32: a model is not asked more often than LLM_MAX_CALLS_PER_DAY on each day that the schedule touches."""
    asked_at = view.trace.model.asked_at
    if not asked_at:
        return
    days = (asked_at[-1].date() - (asked_at[0] - READING).date()).days + 1
    most = days * view.trace.limits.max_model_calls_per_day
    if len(asked_at) > most:
        yield f"{len(asked_at)} questions on {days} days, {most} allowed"


def a_model_is_left_alone(view: View) -> Iterator[str]:
    """I32: who asks to be left alone (429 with Retry-After) is, counted from the state it was asked about."""
    for since, until in view.trace.model.left_alone:
        early = [at for at in view.trace.model.asked_at if since < at < until - READING]
        if early:
            wanted = f"at {since:%H:%M:%S} it wanted no question until {until:%H:%M:%S}"
            yield f"asked at {early[0]:%H:%M:%S}, though {wanted}"


def _name(record: Mapping[str, Any]) -> str:
    return f"{record['run_id']} iteration {record['iteration']}"
