"""What can stand in the order log: one frozen model for each kind of line. Pure.

In: orders, requests, receipts. Out: events whose `as_line` is the dict that the order log writes (amounts in coin,
times by the exchange's clock, order ids with their letter).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, field_serializer

from deribit.vocabulary import OrderId
from models import Direction, Fill, Frozen, Order, OrderReceipt, OrderRequest, SendOutcome


class OrderEvent(Frozen):
    """One line. `at`: when it happened."""

    event: str
    at: AwareDatetime

    @field_serializer("at")
    def _as_iso(self, at: AwareDatetime) -> str:
        return at.isoformat()

    def as_line(self) -> dict[str, Any]:
        """The line: what was said, nothing that was left open."""
        return {"event": self.event, **self.model_dump(mode="json", exclude_unset=True)}


class OrderIntent(OrderEvent):
    """An order is about to leave. `valid_until`: Deribit's deadline, in ms."""

    event: Literal["intent"] = "intent"
    label: str
    symbol: str
    direction: Direction
    amount_coin: float
    price_coin: float
    reduce_only: bool
    post_only: bool
    quoted_at: AwareDatetime
    valid_until: int


class OrderEdit(OrderEvent):
    """A resting order is about to be moved to another price."""

    event: Literal["edit"] = "edit"
    label: str
    symbol: str
    order_id: OrderId
    amount: float
    price: float


class OrderOutcome(OrderEvent):
    """What the answer to a request, or a later look-up (`orders`), says of how an order ended."""

    event: Literal["outcome"] = "outcome"
    label: str
    symbol: str
    outcome: SendOutcome | Literal["resolved_present", "resolved_absent"]
    order: Order | None = None
    trades: tuple[Fill, ...] = ()
    error: str | None = None
    refusal_code: int | None = None
    decided_by: Literal["positions"] | None = None
    orders: tuple[Order, ...] = ()


class OrderClosed(OrderEvent):
    """An order is over; `filled_amount_coin` is None where the exchange has forgotten it."""

    event: Literal["closed"] = "closed"
    label: str
    symbol: str
    order_state: str | None = None
    filled_amount_coin: float | None


class OrderDuplicated(OrderEvent):
    """Two orders stood under one label."""

    event: Literal["duplicated"] = "duplicated"
    label: str
    symbol: str


class Halted(OrderEvent):
    """The agent has halted itself, for a reason that outlives the decision log."""

    event: Literal["halted"] = "halted"
    why: str


def intent_of(request: OrderRequest, valid_until_ms: int, at: AwareDatetime) -> OrderIntent:
    return OrderIntent(**dict(request), valid_until=valid_until_ms, at=at)


def outcome_of(request: OrderRequest, receipt: OrderReceipt, at: AwareDatetime) -> OrderOutcome:
    known = {name: value for name, value in receipt if value is not None}
    return OrderOutcome(label=request.label, symbol=request.symbol, **known, at=at)


def edit_of(order: Order, price_coin: float, at: AwareDatetime) -> OrderEdit:
    about: dict[str, Any] = {"label": order.label, "symbol": order.symbol, "order_id": order.order_id}
    return OrderEdit(**about, amount=order.amount_coin, price=price_coin, at=at)


def closed_of(order: Order, at: AwareDatetime) -> OrderClosed:
    about: dict[str, Any] = {"label": order.label, "symbol": order.symbol, "order_state": order.order_state}
    return OrderClosed(**about, filled_amount_coin=order.filled_amount_coin, at=at)


def resolved(label: str, symbol: str, found: tuple[Order, ...], is_forgotten: bool, at: AwareDatetime) -> OrderOutcome:
    """What a look-up by label showed of an order of unknown outcome; for one long over only the positions can tell."""
    about: dict[str, Any] = {"label": label, "symbol": symbol, "at": at, "orders": found}
    about |= {"decided_by": "positions"} if is_forgotten else {}
    return OrderOutcome(**about, outcome="resolved_present" if found else "resolved_absent")
