"""The figures of the account as the exchange shows them: rounded as Deribit rounds them, newest first.

In: the account's state and figures (coin, milliseconds). Out: what the JSON API writes down, and the client in this
process hands on as models. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from paper_exchange.account.ledger import LogEntry
from paper_exchange.account.orders import Order, Trade
from paper_exchange.account.positions import Position
from paper_exchange.account.state import AccountState
from paper_exchange.account.valuation import CoinFigures, PositionFigures

MARGIN_MODEL = "segregated_sm"
TRADES_SHOWN = 10  # where nobody asks for more
DECIMALS = 12


def tidy(value: float) -> float:
    """Without the noise of binary fractions, far finer than any price; never -0.0."""
    return round(value, DECIMALS) + 0.0


# --- the account of a coin, and a position ---------------------------------------


@dataclass(frozen=True, slots=True)
class ShownFunds:
    """A coin's account. The identities of valuation.py hold to 1e-9."""

    balance_coin: float
    options_value_coin: float
    equity_coin: float
    margin_balance_coin: float
    initial_margin_coin: float
    maintenance_margin_coin: float
    available_funds_coin: float
    options_delta: float
    delta_total: float


def shown_funds(figures: CoinFigures) -> ShownFunds:
    """Balance, equity, margins and deltas; option value is no collateral, so the balance is the margin balance."""
    return ShownFunds(
        balance_coin=tidy(figures.balance_coin),
        options_value_coin=tidy(figures.options_value_coin),
        equity_coin=tidy(figures.equity_coin),
        margin_balance_coin=tidy(figures.balance_coin),
        initial_margin_coin=tidy(figures.initial_margin_coin),
        maintenance_margin_coin=tidy(figures.maintenance_margin_coin),
        available_funds_coin=tidy(figures.available_funds_coin),
        options_delta=tidy(sum(row.delta for row in figures.options)),
        delta_total=tidy(figures.delta_total),
    )


@dataclass(frozen=True, slots=True)
class ShownPosition:
    """An option held: signed size, prices in coin, delta scaled by the size."""

    instrument_name: str
    size: float
    average_price_coin: float
    mark_coin: float
    delta: float


def shown_position(figures: PositionFigures, position: Position) -> ShownPosition:
    """A row of the positions, of size zero where nothing is held any more."""
    return ShownPosition(
        instrument_name=figures.instrument_name,
        size=position.size,
        average_price_coin=tidy(position.average_price_coin),
        mark_coin=round(figures.mark_coin, 8),
        delta=round(figures.delta, 5) + 0.0,
    )


# --- orders, trades, ledger --------------------------------------------------------


def orders_under(state: AccountState, currency: str, label: str) -> list[Order]:
    """Open orders and the closed ones that are still remembered, newest first."""
    known = [*state.orders.values(), *state.closed_orders.values()]
    return newest_first([order for order in known if order.label == label and order.currency == currency])


def newest_first(orders: list[Order]) -> list[Order]:
    """By the time they were made."""
    return sorted(orders, key=lambda order: order.created_at_ms, reverse=True)


def trades_where(state: AccountState, wanted: Callable[[Trade], bool]) -> list[Trade]:
    """Remembered trades that fit, newest first."""
    return [trade for trade in reversed(state.trades) if wanted(trade)]


def entries_between(state: AccountState, currency: str, since_ms: float, until_ms: float) -> list[LogEntry]:
    """Lines of the transaction log, newest first; both ends belong to the span. Its times never step back."""
    newest_first = takewhile(lambda entry: entry.booked_at_ms >= since_ms, reversed(state.log))
    return [entry for entry in newest_first if entry.booked_at_ms <= until_ms and entry.currency == currency]


def entry_price(entry: LogEntry) -> float | None:
    """In coin, of a future's line in USD."""
    return entry.price_coin if entry.price_usd is None else entry.price_usd


def settlement_price_usd(entry: LogEntry) -> float | None:
    """A field of its own since 2026, and only there; until then `index_usd` is the delivery price."""
    return None if entry.delivery is None or entry.kind == "delivery" else entry.delivery.delivery_price_usd


def delivery_info(entry: LogEntry) -> dict[str, Any] | None:
    """What a line about an expired option adds."""
    if entry.delivery is None:
        return None
    return {
        "delivery_price": entry.delivery.delivery_price_usd,
        "is_approximate": entry.delivery.is_approximate,
        "payoff": entry.price_coin,
    }
