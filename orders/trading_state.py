"""What the agent may do right now: limits from the breaker, its disk, its key and its own orders.

In: iterations, the order log, a person's --resume. Out: a state with these limits in it, for the policy to see and the
risk engine to judge. A halt is written to the order log too, so that it survives the loss of the decision log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from config import RiskConfig
from core.breaker import DUPLICATED, Breaker, after_iteration
from core.exposure import daily_limit_reasons
from core.iteration import Steps, breaker_events
from core.log_lines.order_events import Halted
from logging_utils import IterationRecord
from models import AgentState, HaltedError, Reason, TradingState
from orders.order_log import OrderMemory

RESUMED = "resumed by hand after: "


class TradingStateKeeper:
    """Keeps the breaker of a run. That two orders carry one label it hears from the order log."""

    def __init__(self, order_log: OrderMemory, risk: RiskConfig, breaker: Breaker | None = None) -> None:
        self.breaker = Breaker() if breaker is None else breaker
        self._order_log, self._risk = order_log, risk
        self._duplicates_known = order_log.duplicates_noted

    @property
    def is_halted(self) -> bool:
        return self.breaker.state == TradingState.HALTED

    @property
    def has_new_duplicate(self) -> bool:
        """Whether two orders were found under one label since the breaker was last told."""
        return self._order_log.duplicates_noted > self._duplicates_known

    def limit(
        self, state: AgentState, disk_problem: str | None, may_trade: bool, cancelled: Sequence[str]
    ) -> AgentState:
        """The state with what the agent knows of itself.

        `cancelled`: symbols of orders just taken back. One that no log knows may have traded a moment before: its
        coin waits as well.
        """
        why = [Reason(rule="breaker", text=self.breaker.why)] if self.breaker.state != TradingState.ACTIVE else []
        why += [Reason(rule="disk", text=disk_problem)] if disk_problem else []
        why += [] if may_trade else [Reason(rule="key", text="it may not trade")]
        why += [Reason(rule="duplicated", text="two orders carry one label")] if self.has_new_duplicate else []
        midnight = state.timestamp.replace(hour=0, minute=0, second=0, microsecond=0)
        unfilled = self._order_log.unfilled_since(midnight)
        counted = self._order_log.sent_since(midnight) - unfilled
        why += daily_limit_reasons(counted, unfilled, self._risk)
        reduced = TradingState.REDUCING if why else state.trading_state
        busy = (*self._order_log.busy_symbols(state.timestamp), *cancelled)
        return state.model_copy(
            update={
                "unresolved_symbols": tuple(dict.fromkeys(busy)),
                "waiting_underlyings": self._order_log.waiting_underlyings(),
                "orders_today": counted,
                "unfilled_orders_today": unfilled,
                "trading_state": TradingState.HALTED if self.is_halted or self.has_new_duplicate else reduced,
                "restrictions": (*why, *state.restrictions),
            }
        )

    def note_iteration(self, steps: Steps, now: datetime) -> Breaker:
        """The breaker after an iteration; a halt is written down with its time."""
        was_halted = self.is_halted
        self.breaker = after_iteration(self.breaker, breaker_events(steps, self.has_new_duplicate))
        self._duplicates_known = self._order_log.duplicates_noted
        if self.is_halted and not was_halted:
            self._order_log.note(Halted(why=self.breaker.why, at=now).as_line())
        halted_at = self._order_log.halted_at or self.breaker.halted_at
        self.breaker = self.breaker.model_copy(update={"halted_at": halted_at})
        return self.breaker

    def halt_if_duplicated(self) -> bool:
        """At the end of a run: halt where two orders were found under one label; whether that was so."""
        if self.has_new_duplicate:
            self.breaker = self.breaker.model_copy(update={"state": TradingState.HALTED, "why": DUPLICATED})
            self._duplicates_known = self._order_log.duplicates_noted
            return True
        return False

    def resume_or_stay_halted(self, is_resumed: bool) -> None:
        """A person who has looked closes the breaker; without one a halted agent does not start: HaltedError."""
        if is_resumed:
            before = self.breaker.why.removeprefix(RESUMED)
            why = f"{RESUMED}{before}" if before else ""
            self.breaker = Breaker(why=why, halted_at=self.breaker.halted_at)
        if self.is_halted:
            look = "Look at it (--status, orders-*.jsonl), then start again with --resume"
            raise HaltedError(f"halted: {self.breaker.why}. {look}")


def breaker_of(before: IterationRecord | None, is_unreadable: bool, order_log: OrderMemory) -> Breaker:
    """The last run's; careful where it has left lines and none can be read, or ended before its line said HALTED."""
    last = Breaker() if before is None or before.breaker is None else before.breaker
    if before is not None and before.trading_state == TradingState.HALTED and last.state != TradingState.HALTED:
        last = last.model_copy(update={"state": TradingState.HALTED, "why": "the last run's line says HALTED"})
    halted_at = order_log.halted_at
    if halted_at is not None and (last.halted_at is None or halted_at > last.halted_at):
        return Breaker(state=TradingState.HALTED, why=order_log.halted_why or DUPLICATED, halted_at=halted_at)
    if is_unreadable:
        return Breaker(state=TradingState.REDUCING, why="the last run's lines cannot be read")
    return last
