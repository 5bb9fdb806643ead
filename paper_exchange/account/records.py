"""How trades and log entries of the paper account are written, once the account itself has changed.

In: the account's state after the change, prices and cash in coin. Out: frozen records; the counters in the state
move on. No disk, no network, no clock.
"""

from __future__ import annotations

from paper_exchange.account.ledger import DeliveryNote, LogEntry
from paper_exchange.account.orders import Liquidity, Order, Trade
from paper_exchange.account.state import AccountState
from paper_exchange.account.valuation import coin_figures


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
    name: str,
    payoff_coin: float,
    fee_coin: float,
    change_coin: float,
    note: DeliveryNote,
    at_ms: int,
) -> LogEntry:
    """The transaction log's line about an expired position, which is gone already."""
    currency, size = state.contracts[name].listing.currency, note.settled_size
    return LogEntry(
        entry_id=_next_entry_number(state),
        kind="delivery",
        booked_at_ms=at_ms,
        currency=currency,
        instrument_name=name,
        side="close sell" if size > 0.0 else "close buy",
        amount=abs(size),
        price_coin=payoff_coin,
        commission_coin=fee_coin,
        cashflow_coin=size * payoff_coin,
        change_coin=change_coin,
        balance_coin=state.balances_coin[currency],
        equity_coin=coin_figures(state, currency, at_ms).equity_coin,
        position_after=0.0,
        mark_coin=payoff_coin,
        index_usd=note.delivery_price_usd,
        delivery=note,
    )


def _next_entry_number(state: AccountState) -> int:
    number = state.next_entry_number
    state.next_entry_number += 1
    return number


def _numbered(currency: str, number: int) -> str:
    # Deribit writes bare digits for BTC and ETH-<digits> for ETH.
    return str(number) if currency == "BTC" else f"{currency}-{number}"
