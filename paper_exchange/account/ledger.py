"""What the paper account writes down: events for observers and entries of the transaction log.

An observer is called after every event, when balances, positions and orders already agree with it; tests check
their invariants there. Amounts and cash in coin, times in milliseconds or aware UTC. Pure: data only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EventKind = Literal["accepted", "edited", "fill", "cancelled", "settlement"]
EntryKind = Literal["trade", "delivery", "expiry", "assignment", "exercise", "options_settlement_summary"]


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One change of the account. `price_coin` of a settlement is the payoff per contract."""

    at: datetime
    kind: EventKind
    currency: str
    instrument_name: str
    order_id: str | None
    label: str
    direction: str
    amount: float
    price_coin: float | None
    fee_coin: float
    balance_after_coin: float


Observer = Callable[[LedgerEvent], None]


@dataclass(frozen=True, slots=True)
class DeliveryNote:
    """At what price options of an expiry were settled; approximate where the official price was not seen."""

    delivery_price_usd: float
    is_approximate: bool
    settled_size: float
    profit_loss_coin: float
    session_profit_loss_coin: float


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the transaction log: `change_coin` = `cashflow_coin` - `commission_coin` moved the balance.

    `price_coin` of a delivery is the payoff per contract; its delivery price in USD is in the note. A future's line
    has `price_usd` instead, and its amount in USD; a summary names no instrument.
    """

    entry_id: int
    kind: EntryKind
    booked_at_ms: int
    currency: str
    instrument_name: str | None
    side: str
    amount: float
    price_coin: float | None
    commission_coin: float
    cashflow_coin: float
    change_coin: float
    balance_coin: float
    equity_coin: float
    position_after: float
    mark_coin: float
    index_usd: float
    order_id: str | None = None
    trade_id: str | None = None
    liquidity: Literal["M", "T"] | None = None
    delivery: DeliveryNote | None = None
    price_usd: float | None = None
