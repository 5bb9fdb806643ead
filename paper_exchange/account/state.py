"""Everything the paper account remembers, in one plain structure that a file can hold.

In and out: JSON-ready dictionaries (`to_json`, `from_json`). Amounts and cash in coin, times in milliseconds.
No behaviour beyond that: `books.py` changes it, the other modules read it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from paper_exchange.account.ledger import LogEntry
from paper_exchange.account.orders import Order, Trade
from paper_exchange.account.positions import Position
from paper_exchange.market.market import Listing, Quote

FIRST_ORDER_NUMBER = 100_000_000_001
FIRST_TRADE_NUMBER = 200_000_001


@dataclass(slots=True)
class Contract:
    """An option the account holds or has orders in, with the last mark seen.

    Kept here because a source of quotes forgets an option after its expiry, or misses a snapshot.
    """

    listing: Listing
    mark_coin: float
    mark_iv_fraction: float
    underlying_usd: float


def contract_of(listing: Listing, quote: Quote) -> Contract:
    """An option as it is quoted now."""
    return Contract(listing, quote.mark_coin, quote.mark_iv_fraction, quote.underlying_price_usd)


@dataclass(slots=True)
class TakenQuote:
    """How much of one displayed quote this account has already traded against."""

    quoted_at_ms: int
    amount: float


@dataclass(slots=True)
class AccountState:
    """The account. `orders` are the open ones, oldest first; `closed_orders` and `trades` are forgotten in time."""

    version: Literal[1]
    balances_coin: dict[str, float]
    session_realized_coin: dict[str, float]
    session_start_ms: int
    positions: dict[str, Position]
    orders: dict[str, Order]
    closed_orders: dict[str, Order]
    trades: list[Trade]
    log: list[LogEntry]
    contracts: dict[str, Contract]
    index_usd: dict[str, float]
    taken_quotes: dict[str, TakenQuote]
    next_order_number: int
    next_trade_number: int
    next_entry_number: int

    def orders_on(self, instrument_name: str) -> list[Order]:
        """Open orders of one instrument, oldest first."""
        return [order for order in self.orders.values() if order.instrument_name == instrument_name]

    def size_of(self, instrument_name: str) -> float:
        """Signed size held, 0 where there is none."""
        position = self.positions.get(instrument_name)
        return 0.0 if position is None else position.size


_ADAPTER = TypeAdapter(AccountState)


def fresh_state(balances_coin: Mapping[str, float], session_start_ms: int) -> AccountState:
    """An account with coins and nothing else."""
    return AccountState(
        version=1,
        balances_coin=dict(balances_coin),
        session_realized_coin=dict.fromkeys(balances_coin, 0.0),
        session_start_ms=session_start_ms,
        positions={},
        orders={},
        closed_orders={},
        trades=[],
        log=[],
        contracts={},
        index_usd={},
        taken_quotes={},
        next_order_number=FIRST_ORDER_NUMBER,
        next_trade_number=FIRST_TRADE_NUMBER,
        next_entry_number=1,
    )


def to_json(state: AccountState) -> dict[str, Any]:
    """The complete state as a dictionary of JSON types."""
    dumped: dict[str, Any] = _ADAPTER.dump_python(state, mode="json")
    return dumped


def from_json(data: Mapping[str, Any]) -> AccountState:
    """The state that `to_json` wrote. Raises pydantic.ValidationError when a field is missing or of another type."""
    return _ADAPTER.validate_python(data)
