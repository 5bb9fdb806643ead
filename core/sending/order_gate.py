"""What stands before every order, whichever client sends it: the last look, and the lines of the order log around it.

In: an order request, settings, an order log. Out: an OrderReceipt, and one call of the client's own `_send_order` or
`_send_edit` where nothing forbids it. Prices in coin per contract, amounts in coin. Knows no exchange, network or disk:
time, kill file and the way out are the client's, and the log is the one it was given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Literal

from config import AgentConfig
from core.exposure import order_size_problem
from core.log_lines.order_events import OrderDuplicated, OrderEvent, closed_of, edit_of, intent_of, outcome_of
from core.quotes import age_problem
from core.trading_hours import settlement_problem
from deribit.vocabulary import ms_from_utc
from models import LogWriteError, Order, OrderLog, OrderReceipt, OrderRequest, SendOutcome

MAX_ORDERS_PER_ITERATION = 2  # a roll: one to buy back, one to sell
ORDER_LIFETIME_SECONDS = 10.0  # valid_until: later than this the exchange refuses to execute
TRADING_SCOPE = "trade:read_write"


class OrderGate(ABC):
    """The half of a client that orders go through. Without an `order_log` none can be sent."""

    def __init__(self, config: AgentConfig, order_log: OrderLog | None) -> None:
        self._config = config
        self._order_log = order_log
        self._orders_left: int | None = None

    # --- what each client does in its own way -----------------------------------

    @abstractmethod
    def server_now(self) -> datetime:
        """The exchange's time."""

    @abstractmethod
    def kill_note(self) -> str | None:
        """What a kill file says, None where it is certain that there is none."""

    @property
    @abstractmethod
    def may_trade(self) -> bool:
        """Whether the key has the right to trade; assumed until the exchange has said so."""

    @abstractmethod
    def _login_problem(self) -> str | None:
        """Log in where that is due; why the exchange cannot be asked anything private, None where it can."""

    @abstractmethod
    def _send_order(self, request: OrderRequest, valid_until_ms: int) -> OrderReceipt:
        """Put a new order on the exchange's book, once."""

    @abstractmethod
    def _send_edit(self, order: Order, price_coin: float, valid_until_ms: int) -> OrderReceipt:
        """Give a resting order another price, once."""

    @abstractmethod
    def _tell_log_problem(self, problem: str) -> None:
        """Hear that a line of the order log waits for the disk."""

    # --- orders -------------------------------------------------------------------

    def place_limit_order(self, request: OrderRequest) -> OrderReceipt:
        """Send one limit order, once. Never raises for what the exchange or the network does."""
        send_before = self.server_now() + timedelta(seconds=ORDER_LIFETIME_SECONDS)
        problem = self._reason_not_to_send(request, send_before) or self._login_problem()
        if problem is not None:
            return not_sent(problem)
        valid_until_ms = ms_from_utc(send_before)
        problem = self._log_intent(request, valid_until_ms)
        if problem is not None:
            return not_sent(problem)
        # Forcing a line to disk can take long, and the kill file may have come: the last look is the one after it.
        problem = self._reason_not_to_send(request, send_before)
        if problem is not None:
            receipt = not_sent(problem)
        else:
            self._orders_left = None if self._orders_left is None else self._orders_left - 1
            receipt = self._send_order(request, valid_until_ms)
        self._note_outcome(request, receipt)
        return receipt

    def edit_order(self, order: Order, price_coin: float, quoted_at: datetime) -> OrderReceipt:
        """Move a resting order to another price, its amount unchanged; written to the order log first."""
        problem = self._reason_to_send_nothing(quoted_at) or self._log_edit(order, price_coin)
        problem = problem or self._reason_to_send_nothing(quoted_at)  # writing can take long
        if problem is not None:
            return not_sent(problem)
        send_before = self.server_now() + timedelta(seconds=ORDER_LIFETIME_SECONDS)
        return self._send_edit(order, price_coin, ms_from_utc(send_before))

    def note_closed(self, order: Order) -> None:
        """Write down that an order of ours is over, and what of it was filled.

        Until then it counts as one that may trade: in the order log, and in the account's mark outside all logs.
        """
        if self._order_log is not None:
            self._note(closed_of(order, self.server_now()))

    def note_duplicated(self, label: str, symbol: str) -> None:
        """Write down that two orders carry one label, so that the next run knows whatever becomes of this one."""
        if self._order_log is not None:
            self._note(OrderDuplicated(label=label, symbol=symbol, at=self.server_now()))

    def _limit_orders(self) -> None:
        """From here on at most MAX_ORDERS_PER_ITERATION leave."""
        self._orders_left = MAX_ORDERS_PER_ITERATION

    def _lift_limit(self) -> None:
        self._orders_left = None

    # --- the last look ------------------------------------------------------------

    def _reason_not_to_send(self, request: OrderRequest, send_before: datetime) -> str | None:
        """The last look before an order leaves, whatever came before."""
        if not (request.parts.underlying in ("BTC", "ETH") and request.parts.is_call):
            return f"{request.symbol} is not a call on BTC or ETH"
        limit = self._config.strategy(request.parts.underlying).max_order_size
        if request.direction == "buy" and not request.reduce_only:
            return "a buy must be reduce-only"
        too_large = order_size_problem(request.amount_coin, limit)
        if too_large is not None:
            return too_large
        if not self.server_now() < send_before:
            return "the order's deadline passed before it could be sent"
        if self._orders_left is not None and self._orders_left <= 0:
            return f"{MAX_ORDERS_PER_ITERATION} orders have been sent in this iteration"
        return self._reason_to_send_nothing(request.quoted_at)

    def _reason_to_send_nothing(self, quoted_at: datetime) -> str | None:
        """What forbids any order, and any new price of one."""
        if self._order_log is None:
            return "there is no order log, so no order is sent"
        now = self.server_now()
        age = age_problem(quoted_at, now, self._config.risk.max_quote_age_seconds)
        if age is not None:
            return f"the quote is {age}"
        problem = settlement_problem(now, ORDER_LIFETIME_SECONDS)
        if problem is not None:
            return problem
        if self.kill_note() is not None:
            return "the kill file exists"
        if not self.may_trade:
            return f"this key may not trade: it lacks {TRADING_SCOPE}"
        return None

    # --- the order log --------------------------------------------------------------

    def _log_intent(self, request: OrderRequest, valid_until_ms: int) -> str | None:
        """Write the order down before it leaves; why it may not leave where that fails."""
        return self._write_first(intent_of(request, valid_until_ms, self.server_now()))

    def _log_edit(self, order: Order, price_coin: float) -> str | None:
        return self._write_first(edit_of(order, price_coin, self.server_now()))

    def _write_first(self, event: OrderEvent) -> str | None:
        assert self._order_log is not None
        try:
            self._order_log.write(event.as_line())
        except LogWriteError as error:
            return str(error)
        return None

    def _note_outcome(self, request: OrderRequest, receipt: OrderReceipt) -> None:
        self._note(outcome_of(request, receipt, self.server_now()))

    def _note(self, event: OrderEvent) -> None:
        """Write down what has happened: a line that cannot be written now is kept, and must not hide the event."""
        assert self._order_log is not None
        problem = self._order_log.note(event.as_line())
        if problem is not None:
            self._tell_log_problem(problem)


def not_sent(why: str) -> OrderReceipt:
    """The receipt of an order that did not leave."""
    return OrderReceipt(outcome=SendOutcome.NOT_SENT, error=why)


def time_in_force(request: OrderRequest) -> Literal["good_til_cancelled", "good_til_day"]:
    """How long an order may rest: nothing of ours outlives 08:00 UTC (the dead man's switch), save what is post_only.

    Deribit takes post_only with good_til_cancelled alone.
    """
    return "good_til_cancelled" if request.post_only else "good_til_day"


def only_reduces(order: Order) -> bool:
    """Whether a resting order must stay reduce-only when it is moved: a buy always, whatever an answer said of it."""
    return order.direction == "buy" or order.reduce_only is True
