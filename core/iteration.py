"""What one iteration has come to, step by step, and what of it counts for the breaker. Pure.

In: the results of the steps, as far as they were reached. Out: IterationEvents. A step that was not reached is None,
so that a line of the log can be written whatever failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.breaker import IterationEvents
from models import (
    AgentError,
    AgentState,
    ExecutionResult,
    LedgerEntry,
    LegResult,
    ProposedAction,
    RiskResult,
    ShadowDecision,
)

# What is refused for these is not counted against the action: they end by themselves, or a person ends them.
BREAKER_RULES = ("halted", "reducing", "orders_per_day", "unfilled_orders_per_day")


@dataclass(frozen=True)
class LedgerReading:
    """What the exchange has booked since the last reading; equities (coin) after a trade; why it could not be read."""

    entries: tuple[LedgerEntry, ...] = ()
    equity_after_coin: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass
class Steps:
    """State, decision, check, execution and ledger of one iteration, each set once it was reached.

    `ended`: orders that rested after earlier decisions, as they ended since the last line. `policy_error`: the policy
    raised or returned nonsense, and the action is DO_NOTHING. `shadows`: what others would have done; none of it counts
    for anything here. `failure`: what ended the iteration early; `fatal` is the
    same where it ends the process too.
    """

    ended: tuple[LegResult, ...] = ()
    state: AgentState | None = None
    action: ProposedAction | None = None
    policy_error: str | None = None
    check: RiskResult | None = None
    execution: ExecutionResult | None = None
    ledger: LedgerReading = field(default_factory=LedgerReading)
    shadows: tuple[ShadowDecision, ...] = ()
    failure: str | None = None
    fatal: AgentError | None = None

    @property
    def error(self) -> str | None:
        """What goes into the log as the iteration's error."""
        return self.failure or self.policy_error or self.ledger.error

    def fail(self, error: AgentError) -> None:
        """Note an error that ended the iteration, and the orders that were out by then."""
        self.failure = f"{type(error).__name__}: {error}"
        self.execution = self.execution or error.partial_result
        self.fatal = error if error.exit_code is not None else None


def breaker_events(steps: Steps, is_duplicated: bool) -> IterationEvents:
    """What the breaker counts; `is_duplicated`: two orders were found under one label."""
    legs = () if steps.execution is None else steps.execution.legs
    return IterationEvents(
        has_failed=steps.failure is not None,
        has_decided=steps.action is not None,
        has_policy_error=steps.policy_error is not None,
        orders_rejected=_count(legs, "rejected"),
        orders_accepted=_count(legs, "filled", "partly_filled", "not_filled", "resting"),
        blocked_action=_blocked_action(steps),
        is_duplicated=is_duplicated,
    )


def _count(legs: tuple[LegResult, ...], *statuses: str) -> int:
    return len([leg for leg in legs if leg.status in statuses])


def _blocked_action(steps: Steps) -> str:
    """The action that the risk engine refused for reasons of its own, as text to compare; empty where there is none."""
    action, reasons = steps.action, () if steps.check is None else steps.check.reasons
    if action is None or all(reason.rule in BREAKER_RULES for reason in reasons):
        return ""
    return f"{action.type} {action.symbol} {action.new_symbol} {action.size}"
