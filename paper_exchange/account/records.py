"""How trades and log entries of the paper account are written, once the account itself has changed.

In: the account's state after the change, prices and cash in coin. Out: frozen records; the counters in the state
move on. No disk, no network, no clock.
"""

from __future__ import annotations

from typing import NamedTuple

from paper_exchange.account.ledger import DeliveryNote, EntryKind, LogEntry
from paper_exchange.account.orders import Liquidity, Order, Trade
from paper_exchange.account.state import AccountState, Contract
from paper_exchange.account.valuation import coin_figures
from paper_exchange.market.names import expiry_code


class Cash(NamedTuple):
    """Coins that one line moves: `change_coin` = `flow_coin` - `fee_coin`, rounded."""

    flow_coin: float
    fee_coin: float
    change_coin: float


def new_order_id(state: AccountState, currency: str) -> str:
    """The next order id."""
    number = state.next_order_number
    state.next_order_number += 1
    return _numbered(currency, number)


def trade_record(
    state: AccountState,
    order: Order,
    amount: float,
    price_coin: float,
    fee_coin: float,
    liquidity: Liquidity,
    profit_loss_coin: float,
) -> Trade:
    """One fill of an order, at the order's last update."""
    contract = state.contracts[order.instrument_name]
    number = state.next_trade_number
    state.next_trade_number += 1
    return Trade(
        trade_id=_numbered(order.currency, number),
        trade_seq=number,
        order_id=order.order_id,
        instrument_name=order.instrument_name,
        direction=order.direction,
        amount=amount,
        price_coin=price_coin,
        fee_coin=fee_coin,
        liquidity=liquidity,
        traded_at_ms=order.updated_at_ms,
        label=order.label,
        order_type=order.order_type,
        order_state=order.state,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        profit_loss_coin=profit_loss_coin,
        mark_coin=contract.mark_coin,
        mark_iv_fraction=contract.mark_iv_fraction,
        index_usd=state.index_usd[order.currency],
        underlying_usd=contract.underlying_usd,
    )


def trade_entry(state: AccountState, trade: Trade, side: str, cashflow_coin: float, change_coin: float) -> LogEntry:
    """The transaction log's line about a fill; `side` says whether it opened or closed."""
    currency = trade.currency
    return LogEntry(
        entry_id=_next_entry_number(state),
        kind="trade",
        booked_at_ms=trade.traded_at_ms,
        currency=currency,
        instrument_name=trade.instrument_name,
        side=side,
        amount=trade.amount,
        price_coin=trade.price_coin,
        commission_coin=trade.fee_coin,
        cashflow_coin=cashflow_coin,
        change_coin=change_coin,
        balance_coin=state.balances_coin[currency],
        equity_coin=coin_figures(state, currency, trade.traded_at_ms).equity_coin,
        position_after=state.size_of(trade.instrument_name),
        mark_coin=trade.mark_coin,
        index_usd=trade.index_usd,
        order_id=trade.order_id,
        trade_id=trade.trade_id,
        liquidity=trade.liquidity,
    )


def delivery_entry(
    state: AccountState,
    contract: Contract,
    kind: EntryKind,
    cash: Cash,
    payoff_coin: float,
    note: DeliveryNote,
    at_ms: int,
) -> LogEntry:
    """The transaction log's line about an expired option, which is gone already."""
    listing, size = contract.listing, note.settled_size
    # A line of 2026 has the index of that moment, and the delivery price in a field of its own.
    index_usd = note.delivery_price_usd if kind == "delivery" else state.index_usd[listing.currency]
    return LogEntry(
        entry_id=_next_entry_number(state),
        kind=kind,
        booked_at_ms=at_ms,
        currency=listing.currency,
        instrument_name=listing.name,
        side=_closing_side(size),
        amount=abs(size),
        price_coin=payoff_coin,
        commission_coin=cash.fee_coin,
        cashflow_coin=cash.flow_coin,
        change_coin=cash.change_coin,
        balance_coin=state.balances_coin[listing.currency],
        equity_coin=coin_figures(state, listing.currency, at_ms).equity_coin,
        position_after=0.0,
        mark_coin=payoff_coin,
        index_usd=index_usd,
        delivery=note,
    )


def future_entry(state: AccountState, contract: Contract, cash: Cash, note: DeliveryNote, at_ms: int) -> LogEntry:
    """The line about the future an option was settled into at its strike: it is delivered at once."""
    listing, size = contract.listing, note.settled_size
    return LogEntry(
        entry_id=_next_entry_number(state),
        kind="delivery",
        booked_at_ms=at_ms,
        currency=listing.currency,
        instrument_name=f"{listing.currency}-{expiry_code(listing.expires_at_ms)}",
        side=_closing_side(size if listing.is_call else -size),
        amount=abs(size) * listing.strike_usd,
        price_coin=None,
        commission_coin=cash.fee_coin,
        cashflow_coin=cash.flow_coin,
        change_coin=cash.change_coin,
        balance_coin=state.balances_coin[listing.currency],
        equity_coin=coin_figures(state, listing.currency, at_ms).equity_coin,
        position_after=0.0,
        mark_coin=note.delivery_price_usd,
        index_usd=note.delivery_price_usd,
        price_usd=note.delivery_price_usd,
    )


def summary_entry(state: AccountState, currency: str, at_ms: int) -> LogEntry:
    """The line that ends a settlement of options; it moves nothing."""
    return LogEntry(
        entry_id=_next_entry_number(state),
        kind="options_settlement_summary",
        booked_at_ms=at_ms,
        currency=currency,
        instrument_name=None,
        side="-",
        amount=0.0,
        price_coin=None,
        commission_coin=0.0,
        cashflow_coin=0.0,
        change_coin=0.0,
        balance_coin=state.balances_coin[currency],
        equity_coin=coin_figures(state, currency, at_ms).equity_coin,
        position_after=0.0,
        mark_coin=0.0,
        index_usd=state.index_usd[currency],
    )


def _closing_side(size: float) -> str:
    return "close sell" if size > 0.0 else "close buy"


def _next_entry_number(state: AccountState) -> int:
    number = state.next_entry_number
    state.next_entry_number += 1
    return number


def _numbered(currency: str, number: int) -> str:
    # Deribit writes bare digits for BTC and ETH-<digits> for ETH.
    return str(number) if currency == "BTC" else f"{currency}-{number}"
