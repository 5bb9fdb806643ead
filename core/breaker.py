"""The breaker: what too many failures in a row do to the agent. Pure.

In: how an iteration went. Out: ACTIVE, REDUCING (nothing is sold, buying back goes on) or HALTED (no order at all,
until a person starts the agent with --resume), with the counts behind it. It stands in every decision record, so a
restart goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models import Frozen, TradingState

REDUCE_AFTER_FAILED = 5  # iterations in a row
REDUCE_AFTER_REJECTED = 3  # orders in a row
REDUCE_AFTER_POLICY_ERRORS = 3  # decisions in a row
REDUCE_AFTER_SAME_BLOCK = 10  # the same action, blocked by the risk engine
HALT_AFTER = 10  # failed iterations, rejected orders or policy errors in a row
GOOD_TO_RECOVER = 2  # iterations in a row that end REDUCING
DUPLICATED = "two orders carry one label: something between here and the exchange sends requests twice"


class Breaker(Frozen):
    """The breaker's state. `why` says what took it out of ACTIVE, `halted_at` when it last was HALTED or had to be."""

    state: TradingState = TradingState.ACTIVE
    why: str = ""
    failed: int = 0
    rejected: int = 0
    policy_errors: int = 0
    same_block: int = 0
    blocked_action: str = ""
    good: int = 0
    halted_at: datetime | None = None


@dataclass(frozen=True)
class IterationEvents:
    """What the breaker wants to know. `has_decided` is False where the policy was not reached."""

    has_failed: bool = False
    has_decided: bool = False
    has_policy_error: bool = False
    orders_rejected: int = 0
    orders_accepted: int = 0
    blocked_action: str = ""  # what the risk engine refused for reasons of its own, not because of the breaker
    is_duplicated: bool = False  # two orders carry one label


def after_iteration(breaker: Breaker, events: IterationEvents) -> Breaker:
    """The breaker after one more iteration."""
    counted = _count(breaker, events)
    halt, reduce = _reason_to_halt(counted, events), _reason_to_reduce(counted, events)
    good = 0 if reduce or events.has_failed else breaker.good + 1
    counted = counted.model_copy(update={"good": good})
    if breaker.state == TradingState.HALTED:
        return counted
    if halt:
        return counted.model_copy(update={"state": TradingState.HALTED, "why": halt})
    if reduce:
        return counted.model_copy(update={"state": TradingState.REDUCING, "why": reduce})
    if breaker.state == TradingState.REDUCING and good >= GOOD_TO_RECOVER:
        return counted.model_copy(update={"state": TradingState.ACTIVE, "why": ""})
    return counted


def _count(breaker: Breaker, events: IterationEvents) -> Breaker:
    policy_errors = breaker.policy_errors + 1 if events.has_policy_error else 0
    is_repeated = events.blocked_action != "" and events.blocked_action == breaker.blocked_action
    rejected = 0 if events.orders_accepted else breaker.rejected
    return breaker.model_copy(
        update={
            "failed": breaker.failed + 1 if events.has_failed else 0,
            "rejected": rejected + events.orders_rejected,
            "policy_errors": policy_errors if events.has_decided else breaker.policy_errors,
            "same_block": breaker.same_block + 1 if is_repeated else int(events.blocked_action != ""),
            "blocked_action": events.blocked_action,
        }
    )


def _reason_to_reduce(counted: Breaker, events: IterationEvents) -> str:
    """Only what this iteration added to counts, so that good iterations end it."""
    if events.has_failed and counted.failed >= REDUCE_AFTER_FAILED:
        return f"{counted.failed} failed iterations in a row"
    if events.orders_rejected and counted.rejected >= REDUCE_AFTER_REJECTED:
        return f"{counted.rejected} rejected orders in a row"
    if events.has_policy_error and counted.policy_errors >= REDUCE_AFTER_POLICY_ERRORS:
        return f"{counted.policy_errors} policy errors in a row"
    if counted.same_block >= REDUCE_AFTER_SAME_BLOCK:
        return f"the same action was blocked {counted.same_block} times in a row"
    return ""


def _reason_to_halt(counted: Breaker, events: IterationEvents) -> str:
    if events.is_duplicated:
        return DUPLICATED
    counts = {
        "failed iterations": counted.failed,
        "rejected orders": counted.rejected,
        "policy errors": counted.policy_errors,
    }
    return next((f"{count} {what} in a row" for what, count in counts.items() if count >= HALT_AFTER), "")
